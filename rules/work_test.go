package rules

import (
	"slices"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/sigma"
)

// everydayWork is what administrators, developers and people at desks run, as program, command
// and parent. None of it may decide a verdict.
const everydayWork = `
net.exe|net use Z: \\filer\data /persistent:yes|cmd.exe
net.exe|net user ada /domain|cmd.exe
net.exe|net stop spooler|cmd.exe
ipconfig.exe|ipconfig /all|cmd.exe
tasklist.exe|tasklist|cmd.exe
systeminfo.exe|systeminfo|cmd.exe
gpresult.exe|gpresult /r|cmd.exe
gpupdate.exe|gpupdate /force|cmd.exe
sc.exe|sc query spooler|cmd.exe
schtasks.exe|schtasks /query /fo list|cmd.exe
reg.exe|reg query "HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion" /v ProductName|cmd.exe
wmic.exe|wmic bios get serialnumber|cmd.exe
wmic.exe|wmic computersystem get model|cmd.exe
msiexec.exe|msiexec.exe /i C:\Users\ada\Downloads\app.msi|explorer.exe
msiexec.exe|msiexec.exe /x {90160000-008C-0000-1000-0000000FF1CE} /qn|cmd.exe
curl.exe|curl -O https://download.example.com/agent.msi|cmd.exe
robocopy.exe|robocopy D:\Data \\nas\backup /mir|cmd.exe
icacls.exe|icacls D:\Shares\Sales /grant EXAMPLE\Sales:(OI)(CI)M|cmd.exe
netsh.exe|netsh advfirewall firewall add rule name="SQL" dir=in action=allow protocol=TCP localport=1433|cmd.exe
shutdown.exe|shutdown /r /t 60|cmd.exe
certutil.exe|certutil -dump a.cer|cmd.exe
mstsc.exe|mstsc.exe /v:filer|cmd.exe
rundll32.exe|rundll32.exe printui.dll,PrintUIEntry /in /n \\print\hp|cmd.exe
rundll32.exe|rundll32.exe shell32.dll,Control_RunDLL inetcpl.cpl|explorer.exe
vssadmin.exe|vssadmin list shadows|cmd.exe
wevtutil.exe|wevtutil qe System /c:10 /f:text|cmd.exe
auditpol.exe|auditpol /get /category:*|cmd.exe
manage-bde.exe|manage-bde -status|cmd.exe
bcdedit.exe|bcdedit /enum|cmd.exe
fsutil.exe|fsutil fsinfo drives|cmd.exe
cscript.exe|cscript C:\Windows\System32\slmgr.vbs /dli|cmd.exe
wscript.exe|wscript.exe \\example.com\netlogon\map.vbs|userinit.exe
hh.exe|hh.exe C:\Program Files\7-Zip\7-zip.chm|7zFM.exe
tar.exe|tar -xf a.zip|cmd.exe
findstr.exe|findstr /i error D:\Logs\app.log|cmd.exe
ssh.exe|ssh admin@filer|cmd.exe
cmd.exe|cmd.exe /c npm run build|node.exe
cmd.exe|cmd /c del C:\Users\ada\AppData\Local\Temp\x.tmp|explorer.exe
powershell.exe|powershell.exe -c "Get-Process -Name sql* | Sort-Object CPU"|explorer.exe
powershell.exe|powershell.exe -c "New-ADUser -Name bo"|explorer.exe
powershell.exe|powershell.exe -c "Compress-Archive D:\Logs D:\Backup\logs.zip"|svchost.exe
powershell.exe|powershell.exe -ExecutionPolicy Bypass -File "C:\Program Files\Contoso\inventory.ps1"|svchost.exe
csc.exe|csc.exe /noconfig /fullpaths @"C:\Users\ada\AppData\Local\Temp\x\x.cmdline"|powershell.exe
clip.exe|clip|cmd.exe
runas.exe|runas /user:EXAMPLE\bo mmc.exe|cmd.exe
`

func TestEverydayWorkDecidesNothing(t *testing.T) {
	set := sigma.Compile(load(t), sigma.Options{})
	for line := range strings.Lines(strings.TrimSpace(everydayWork)) {
		part := strings.Split(strings.TrimSpace(line), "|")
		parent := part[len(part)-1]
		command := strings.Join(part[1:len(part)-1], "|")
		ev := &sigma.Event{Logsource: sigma.Logsource{Product: "windows", Category: "process_creation"}, Fields: alert.Fields{
			{Path: "Image", Value: `C:\Windows\System32\` + part[0]}, {Path: "OriginalFileName", Value: part[0]},
			{Path: "CommandLine", Value: command}, {Path: "ParentImage", Value: `C:\Windows\System32\` + parent},
			{Path: "User", Value: `EXAMPLE\ada`}, {Path: "IntegrityLevel", Value: "Medium"},
		}}
		var weights []float64
		var titles []string
		set.Match(ev, func(r *sigma.Rule, h sigma.Hits) {
			if b := r.Bits(h); b > 0 {
				weights, titles = append(weights, b), append(titles, r.Title)
			}
		})
		if bits := grouped(weights); bits > 2.25 {
			t.Errorf("%s: %.2g bits for malicious, by %q", command, bits, titles)
		}
	}
}

// grouped adds what was read from the same thing: the strongest fully, the next half, the rest a
// quarter.
func grouped(weights []float64) float64 {
	slices.Sort(weights)
	slices.Reverse(weights)
	sum := 0.0
	for i, w := range weights {
		sum += w / float64(min(1<<i, 4))
	}
	return sum
}
