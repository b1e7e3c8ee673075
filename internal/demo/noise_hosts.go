package demo

import (
	"fmt"
	"time"
)

// Programs that many alerts are about.
const (
	tiWorker  = `C:\Windows\WinSxS\amd64_microsoft-windows-servicingstack_31bf3856ad364e35_10.0.26100.1738_none_a51a8d2e5f3a4a6b\TiWorker.exe`
	clickRun  = `C:\Program Files\Common Files\Microsoft Shared\ClickToRun\OfficeClickToRun.exe`
	ccmExec   = `C:\Windows\CCM\CcmExec.exe`
	defenderP = `C:\ProgramData\Microsoft\Windows Defender\Platform\4.18.24090.11-0\`
	edgeUp    = `C:\Program Files (x86)\Microsoft\EdgeUpdate\MicrosoftEdgeUpdate.exe`
)

// Detections that harmless and hostile activity share.
var (
	newService = signature{id: "61138", title: "New Windows Service Created", severity: "low", groups: []string{"windows", "windows_system"}, techniques: []string{"T1543.003"}}
	dropped    = signature{id: "92200", title: "Executable file created in a folder of Windows", severity: "low", groups: []string{"sysmon", "sysmon_eid11_detections", "windows"}, techniques: []string{"T1105"}}
	systemPS   = signature{id: "system-ps", title: "PowerShell started by a service with a relaxed execution policy", severity: "medium", techniques: []string{"T1059.001"}, text: "A service started PowerShell and told it to ignore the execution policy."}
	taskRun    = signature{id: "92154", title: "Scheduled task created or started with schtasks", severity: "low", groups: []string{"sysmon", "sysmon_eid1_detections", "windows"}, techniques: []string{"T1053.005"}}
	remoteTool = signature{id: "psexec", title: "Remote command tool started", severity: "medium", techniques: []string{"T1569.002", "T1021.002"}, text: "PsExec was started. Administrators use it from the management hosts."}
)

// of numbers the process, so that each has an id of its own.
func of(name string, i int) string { return fmt.Sprintf("%s/%d", name, i) }

// updates is the morning after update Tuesday, 50 alerts.
func (s *story) updates() {
	why := func(what string) Truth {
		return noise(KindUpdates, "The morning after the monthly updates: "+what+".")
	}
	s.each("wazuh", "06:52:00", "08:48:00", 22, func(i int, at time.Time) {
		h := ring(s.everyone(), i)
		svc := s.services(h)
		switch i % 8 {
		case 0:
			p := s.scheduler(h).child(of("tiworker", i), at.Add(-40*time.Second), tiWorker, tiWorker+" -Embedding", windows)
			s.wazuhFile(dropped, p, `C:\Windows\WinSxS\Temp\InFlight\`+s.digest(of("inflight", i), 16)+`\amd64_microsoft-windows-ntlm_31bf3856ad364e35_10.0.26100.2033\msv1_0.dll`, at, why("the servicing stack writes new system files"))
		case 1:
			s.wazuhService(newService, h, at, "Microsoft Edge Elevation Service (MicrosoftEdgeElevationService)", `"C:\Program Files (x86)\Microsoft\Edge\Application\129.0.2792.89\elevation_service.exe"`, "demand start", "LocalSystem", why("Edge registers its elevation service"))
		case 2:
			p := svc.child(of("msmpeng", i), s.start.Add(-20*time.Hour), defenderP+"MsMpEng.exe", `"`+defenderP+`MsMpEng.exe"`, windows)
			s.wazuhProcess(signature{id: "92031", title: "Security tool started with unusual arguments", severity: "low", groups: []string{"sysmon", "sysmon_eid1_detections", "windows"}}, p.child(of("mpcmdrun", i), at, defenderP+"MpCmdRun.exe", `"`+defenderP+`MpCmdRun.exe" SignatureUpdate -ScheduleJob -RestrictPrivileges`, windows), why("Defender fetches signatures"))
		case 3:
			s.wazuhWindows(newService, h, at, scm, "7045", "A service was installed in the system", eventdata{"ServiceName": "MpKslDrv", "ImagePath": `C:\ProgramData\Microsoft\Windows Defender\Definition Updates\{` + upper(s.guid(of("mpksl", i))) + `}\MpKslDrv.sys`, "ServiceType": "kernel mode driver", "StartType": "demand start", "AccountName": ""}, why("Defender loads the driver of new signatures"))
			s.events[len(s.events)-1].Host = h.name
		case 4:
			p := svc.child(of("c2r", i), at.Add(-3*time.Minute), clickRun, `"`+clickRun+`" /service`, microsoft)
			s.wazuhProcess(taskRun, p.child(of("schtasks", i), at, sys32+"schtasks.exe", `schtasks.exe /run /tn "\Microsoft\Office\Office Feature Updates"`, windows), why("Office starts its own update task"))
		case 5:
			p := s.scheduler(h).child(of("appraiser", i), at.Add(-9*time.Second), sys32+"CompatTelRunner.exe", sys32+"CompatTelRunner.exe -m:appraiser.dll -f:DoScheduledTelemetryRun -cv:"+s.digest(of("cv", i), 16), windows)
			s.wazuhProcess(signature{id: "92027", title: "Powershell process spawned by CompatTelRunner.exe", severity: "low", groups: []string{"sysmon", "sysmon_eid1_detections", "windows"}, techniques: []string{"T1059.001"}}, p.child(of("appraiser-ps", i), at, powershell, `powershell.exe -ExecutionPolicy Restricted -Command Write-Host 'Final result: 1';`, windows), why("the compatibility appraiser asks its questions"))
		case 6:
			p := svc.child(of("c2r", i), at.Add(-5*time.Minute), clickRun, `"`+clickRun+`" /service`, microsoft)
			s.wazuhFile(dropped, p, `C:\Program Files\Microsoft Office\root\Office16\mso40uiwin32client.dll`, at, why("Office replaces its files"))
		default:
			s.wazuhService(newService, h, at, "ccmsetup", `"C:\Windows\ccmsetup\ccmsetup.exe" /runservice /ignoreskipupgrade /config:MobileClient.tcf`, "auto start", "LocalSystem", why("configuration management updates its agent"))
		}
	})
	s.each("elastic", "06:53:00", "08:47:30", 16, func(i int, at time.Time) {
		h := ring(s.everyone(), i+3)
		ccm := s.services(h).child("ccmexec", s.start.Add(-20*time.Hour), ccmExec, ccmExec, microsoft)
		switch i % 6 {
		case 0:
			s.elasticProcess(systemPS, ccm.child(of("ccm-ps", i), at, powershell, `"C:\Windows\system32\WindowsPowerShell\v1.0\powershell.exe" -NoLogo -Noninteractive -NoProfile -ExecutionPolicy Bypass "& 'C:\Windows\CCM\SystemTemp\`+s.guid(of("ccm", i))+`.ps1'"`, windows), why("a compliance script of configuration management"))
		case 1:
			p := s.scheduler(h).child(of("edgeup", i), at, edgeUp, `"`+edgeUp+`" /ua /installsource scheduler`, microsoft)
			p.product = "Microsoft Edge Update"
			s.elasticProcess(signature{id: "sched-child", title: "Program started by the task scheduler as SYSTEM", severity: "low", techniques: []string{"T1053.005"}, text: "The task scheduler started a program outside the system directory as SYSTEM."}, p, why("Edge looks for updates"))
		case 2:
			s.elasticProcess(signature{id: "msi-share", title: "Installer run from a network share", severity: "medium", techniques: []string{"T1105"}, text: "msiexec installed a package from a network share without asking."}, ccm.child(of("msiexec", i), at, sys32+"msiexec.exe", `"C:\Windows\system32\msiexec.exe" /i "\\`+s.config.name+`\packages$\runtime-8.0.10\runtime.msi" /qn /norestart REBOOT=ReallySuppress`, windows), why("configuration management installs a package"))
		case 3:
			p := s.scheduler(h).child(of("tiworker", i), at.Add(-time.Minute), tiWorker, tiWorker+" -Embedding", windows)
			s.elasticProcess(signature{id: "wevtutil", title: "Event log configuration changed with wevtutil", severity: "medium", text: "wevtutil changed the configuration of event logs or providers."}, p.child(of("wevtutil", i), at, sys32+"wevtutil.exe", `"C:\Windows\System32\wevtutil.exe" um C:\Windows\WinSxS\Temp\PendingRenames\`+s.digest(of("man", i), 16)+`.man`, windows), why("the servicing stack registers event sources anew"))
		case 4:
			s.elasticProcess(signature{id: "rundll-svc", title: "rundll32 started by a service host", severity: "low", text: "The host of services started rundll32."}, s.scheduler(h).child(of("startupscan", i), at, sys32+"rundll32.exe", `C:\Windows\system32\rundll32.exe Startupscan.dll,SusRunTask`, windows), why("a maintenance task of Windows"))
		default:
			p := s.services(h).child(of("dismhost-parent", i), at.Add(-time.Minute), sys32+"Dism.exe", sys32+"Dism.exe /Online /Cleanup-Image /StartComponentCleanup /NoRestart", windows)
			q := p.child(of("dismhost", i), at, `C:\Windows\Temp\`+upper(s.guid(of("dism", i)))+`\dismhost.exe`, `C:\Windows\Temp\`+upper(s.guid(of("dism", i)))+`\dismhost.exe {`+upper(s.guid(of("dismarg", i)))+`}`, windows)
			q.original = "DismHost.exe"
			s.elasticProcess(signature{id: "temp-program", title: "Program started from a temporary folder of Windows", severity: "medium", text: "A program was started from a temporary folder as SYSTEM."}, q, why("the component store is cleaned"))
		}
	})
	s.each("splunk", "06:56:00", "08:43:00", 6, func(i int, at time.Time) {
		h := ring(s.everyone(), 2*i+1)
		p := s.services(h).child(of("c2r", 100+i), at.Add(-5*time.Minute), clickRun, `"`+clickRun+`" /service`, microsoft)
		if i%2 == 0 {
			s.splunkProcess(signature{id: "schtasks", title: "Scheduled task created or started", severity: "low", techniques: []string{"T1053.005"}, text: "schtasks created or started a task."}, p.child(of("schtasks-s", i), at, sys32+"schtasks.exe", `schtasks.exe /create /tn "\Microsoft\Office\Office Automatic Updates 2.0" /xml "C:\Program Files\Common Files\Microsoft Shared\ClickToRun\OfficeUpdateTask.xml" /f`, windows), why("Office renews its update task"))
			return
		}
		s.splunkProcess(signature{id: "svc-start", title: "Service started or changed on the command line", severity: "low", techniques: []string{"T1543.003"}, text: "sc.exe started or changed a service."}, s.services(h).child("ccmexec", s.start.Add(-20*time.Hour), ccmExec, ccmExec, microsoft).child(of("sc", i), at, sys32+"sc.exe", `"C:\Windows\system32\sc.exe" start wuauserv`, windows), why("configuration management starts the update service"))
	})
	s.each("sentinel", "07:02:00", "08:45:00", 6, func(i int, at time.Time) {
		h := ring(s.everyone(), 3*i+2)
		ccm := s.services(h).child("ccmexec", s.start.Add(-20*time.Hour), ccmExec, ccmExec, microsoft)
		if i%2 == 0 {
			s.defenderProcess(signature{id: "ps-cmd", title: "Suspicious PowerShell command line", severity: "medium", techniques: []string{"T1059.001"}, text: "A suspicious PowerShell activity was observed on the machine."}, ccm.child(of("ccm-inv", i), at, powershell, `powershell.exe -NoProfile -ExecutionPolicy Bypass -File C:\Windows\CCM\SystemTemp\inventory.ps1`, windows), "Execution", nil, why("the inventory script of configuration management"))
			return
		}
		s.defenderProcess(signature{id: "task", title: "Suspicious Task Scheduler activity", severity: "low", techniques: []string{"T1053.005"}, text: "A task was registered or started in an unusual way."}, ccm.child(of("ccm-task", i), at, sys32+"schtasks.exe", `schtasks.exe /run /tn "\Microsoft\Windows\UpdateOrchestrator\Schedule Scan"`, windows), "Persistence", nil, why("configuration management starts the scan for updates"))
	})
}

const bkAgent = `C:\Program Files\Veeam\Endpoint Backup\Veeam.EndPoint.Service.exe`

func (s *story) backupAgent(h *host) *process {
	p := s.services(h).child("bkagent", s.start.Add(-30*time.Hour), bkAgent, `"`+bkAgent+`"`, "Veeam Software Group GmbH")
	p.product = "Veeam Agent for Microsoft Windows"
	return p
}

// backups is the end of the nightly run, 20 alerts.
func (s *story) backups() {
	why := func(what string) Truth {
		return noise(KindBackup, "The backup software at work: "+what+".")
	}
	hosts := []*host{s.fileServer, s.sql, s.app1, s.dc, s.app2, s.backup, s.backup2}
	shadow := func(h *host, i int, at time.Time) *process {
		return s.backupAgent(h).child(of("vss", i), at, sys32+"vssadmin.exe", `vssadmin.exe delete shadows /shadow={`+s.guid(of("shadow", i))+`} /quiet`, windows)
	}
	s.each("wazuh", "06:53:00", "08:31:00", 7, func(i int, at time.Time) {
		h := ring(hosts, i+1)
		if i%2 == 0 {
			s.wazuhWindows(signature{id: "92652", title: "Successful Remote Logon Detected - User:" + `\svc-backup - NTLM authentication, possible pass-the-hash attack`, severity: "low", groups: []string{"windows", "windows_security", "authentication_success"}, techniques: []string{"T1078"}},
				h, at, security, "4624", "An account was successfully logged on", s.logonEvent(h, "svc-backup", "3", "NTLM", s.backup.name, s.backup.ip, of("backup", i)), why("the backup server logs on to "+h.name))
			return
		}
		s.wazuhProcess(signature{id: "92041", title: "Shadow copy deleted with vssadmin", severity: "medium", groups: []string{"sysmon", "sysmon_eid1_detections", "windows"}, techniques: []string{"T1490"}}, shadow(h, i, at), why("the agent removes the shadow copy that it made"))
	})
	s.each("elastic", "06:54:00", "08:40:00", 7, func(i int, at time.Time) {
		h := ring(hosts, i)
		switch i % 3 {
		case 0:
			s.elasticProcess(signature{id: "vss-delete", title: "Shadow copy deleted", severity: "high", techniques: []string{"T1490"}, text: "A shadow copy was deleted with vssadmin."}, shadow(h, 20+i, at), why("the agent removes the shadow copy that it made"))
		case 1:
			s.elasticProcess(signature{id: "diskshadow", title: "Shadow copies scripted with diskshadow", severity: "medium", text: "diskshadow ran a script."}, s.backupAgent(h).child(of("diskshadow", i), at, sys32+"diskshadow.exe", `diskshadow.exe /s "C:\Program Files\Veeam\Endpoint Backup\Scripts\freeze.dsh"`, windows), why("the agent freezes the volumes"))
		default:
			s.elasticProcess(signature{id: "wbadmin", title: "Backup versions queried", severity: "low", text: "wbadmin listed the versions of a backup."}, s.backupAgent(h).child(of("wbadmin", i), at, sys32+"wbadmin.exe", `wbadmin.exe get versions -backuptarget:\\`+s.backup.name+`\image$`, windows), why("the agent checks what there is"))
		}
	})
	s.each("splunk", "06:58:00", "08:26:00", 4, func(i int, at time.Time) {
		h := ring(hosts, i+2)
		s.splunk(signature{id: "smb-volume", title: "Unusual volume of files read over SMB", severity: "medium", techniques: []string{"T1135"}, text: "One account read many more files over SMB than is usual."}, at, "network", object{
			"src": s.backup.name, "src_ip": s.backup.ip, "dest": h.name, "dest_ip": h.ip, "user": "svc-backup", "file_count": fmt.Sprint(18000 + 917*i), "bytes_in": fmt.Sprint(41000000000 + 1000000007*i), "share": `\\` + h.name + `\C$`, "app": "smb", "orig_sourcetype": "zeek:smb_files:json", "action": "allowed", "dvc": s.sensor.name,
		}, why("the backup server reads "+h.name).on(h, "svc-backup"))
	})
	s.each("sentinel", "07:10:00", "08:12:00", 2, func(i int, at time.Time) {
		h := ring(hosts, 3*i)
		s.defenderProcess(signature{id: "vss-mde", title: "Suspicious behavior by vssadmin.exe was observed", severity: "medium", techniques: []string{"T1490"}, text: "vssadmin was used to delete a shadow copy."}, shadow(h, 40+i, at), "Ransomware", nil, why("the agent removes the shadow copy that it made"))
	})
}

// management is the helpdesk, with the tool and the verbs of the intruder, 15 alerts.
func (s *story) management() {
	why := func(what string) Truth {
		return noise(KindHelpdesk, "The helpdesk on its own host, with its own tool and account: "+what+".")
	}
	admins := []person{s.helpdesk, s.helpdesk2}
	shell := func(p person) *process {
		q := s.explorer(s.mgmt, s.logon(adm(p)), "desk/"+p.sam()).child("cmd/"+p.sam(), s.start.Add(4*time.Minute), cmdExe, `"C:\Windows\System32\cmd.exe"`, windows)
		q.integrity = "High"
		return q
	}
	psexec := func(i int, at time.Time, to *host, what string) *process {
		p := shell(ring(admins, i)).child(of("psexec", i), at, `C:\Program Files\Sysinternals\PsExec64.exe`, `PsExec64.exe  -accepteula \\`+to.name+` -s -h `+what, microsoft)
		p.original, p.product = "psexec.c", "Sysinternals PsExec"
		return p
	}
	s.each("elastic", "06:59:00", "08:35:00", 5, func(i int, at time.Time) {
		to, sh := ring(s.desks, i), shell(ring(admins, i))
		switch i % 3 {
		case 0:
			s.elasticProcess(signature{id: "psexec-e", title: "Remote command tool started", severity: "medium", techniques: []string{"T1569.002", "T1021.002"}, text: "PsExec was started."}, psexec(i, at, to, "cmd /c gpupdate /force"), why("policies are renewed on "+to.name))
		case 1:
			s.elasticProcess(signature{id: "admin-groups", title: "Enumeration of administrator groups", severity: "low", techniques: []string{"T1069.002"}, text: "net was used to list the members of a privileged group."}, sh.child(of("netgroup", i), at, sys32+"net.exe", `net  group "Helpdesk Tier 1" /domain`, windows), why("who belongs to a group"))
		default:
			s.elasticProcess(signature{id: "sessions", title: "Sessions of another host queried", severity: "low", techniques: []string{"T1033"}, text: "quser asked for the sessions of another host."}, sh.child(of("quser", i), at, sys32+"quser.exe", "quser  /server:"+s.fileServer.name, windows), why("who is logged on to the file server"))
		}
	})
	targets := []struct {
		h     *host
		clock string
	}{{s.victimPC, "07:14:10"}, {s.desks[2], "07:29:30"}, {s.victimPC, "07:41:05"}, {s.fileServer, "07:52:40"}}
	for i, t := range targets {
		at := s.at(t.clock)
		if i%2 == 0 {
			s.wazuhService(newService, t.h, at, "PSEXESVC", `%SystemRoot%\PSEXESVC.exe`, "demand start", "LocalSystem", why("the tool's service on "+t.h.name+", where a printer is repaired"))
			continue
		}
		s.wazuhWindows(signature{id: "92651", title: "Successful Remote Logon Detected - User:" + `\` + adm(s.helpdesk), severity: "low", groups: []string{"windows", "windows_security", "authentication_success"}, techniques: []string{"T1078"}},
			t.h, at, security, "4624", "An account was successfully logged on", s.logonEvent(t.h, adm(s.helpdesk), "3", "Kerberos", "-", s.mgmt.ip, of("helpdesk", i)), why("logon from the management host to "+t.h.name))
	}
	s.each("splunk", "07:05:00", "08:28:00", 4, func(i int, at time.Time) {
		to := ring([]*host{s.victimPC, s.desks[1], s.fileServer, s.desks[4]}, i)
		s.splunkProcess(remoteTool, psexec(10+i, at, to, ring([]string{"cmd.exe", "ipconfig /flushdns", "sc query spooler", "cmd /c net stop spooler & net start spooler"}, i)), why("a ticket about "+to.name))
	})
	s.each("sentinel", "07:18:00", "08:22:00", 2, func(i int, at time.Time) {
		to := ring([]*host{s.desks[3], s.fileServer}, i)
		s.defenderProcess(signature{id: "remote-exec", title: "Suspicious remote execution", severity: "medium", techniques: []string{"T1569.002", "T1021.002"}, text: "A tool for remote execution was used towards another device."}, psexec(20+i, at, to, "powershell -NoProfile Get-Service"), "LateralMovement", nil, why("services of "+to.name+" are looked at"))
	})
}

// development is what builders and developers do, 20 alerts.
func (s *story) development() {
	why := func(what string) Truth { return noise(KindDevelop, "Developers' tools: "+what+".") }
	agent := s.services(s.build).child("buildagent", s.start.Add(-40*time.Hour), `C:\Program Files\Build Agent\bin\Agent.Worker.exe`, `"C:\Program Files\Build Agent\bin\Agent.Worker.exe" spawnclient 1704 1720`, microsoft)
	agent = agent.as(s.logon("svc-build"), "build", "High")
	s.each("elastic", "06:57:00", "08:46:00", 9, func(i int, at time.Time) {
		pc, who := ring(s.devs, i), ring(s.people[5:8], i)
		ide := s.explorer(pc, s.logon(who.sam()), "dev/"+who.sam()).child("ide", s.start.Add(2*time.Minute), `C:\Program Files\Microsoft VS Code\Code.exe`, `"C:\Program Files\Microsoft VS Code\Code.exe"`, microsoft)
		switch i % 4 {
		case 0:
			s.elasticProcess(signature{id: "encoded", title: "PowerShell with an encoded command", severity: "medium", techniques: []string{"T1059.001"}, text: "PowerShell was given an encoded command."}, agent.child(of("encoded", i), at, powershell, `powershell.exe -NoLogo -NoProfile -NonInteractive -ExecutionPolicy Unrestricted -EncodedCommand `+encoded(`. 'C:\agent\_work\_temp\step.ps1'`), windows), why("a step of the build, encoded by the build agent"))
		case 1:
			p := agent.child(of("unit", i), at, `C:\agent\_work\7\s\bin\Release\Core.UnitTests.exe`, `C:\agent\_work\7\s\bin\Release\Core.UnitTests.exe --parallel 4`, "")
			s.elasticProcess(signature{id: "unsigned-new", title: "Unsigned program seen for the first time", severity: "low", text: "A program without a signature ran that was never seen before."}, p, why("tests that were compiled a minute ago"))
		case 2:
			p := ide.child(of("bash", i), at, `C:\Program Files\Git\usr\bin\bash.exe`, `bash.exe -c "curl -fsSL https://get.tools.example/install.sh | sh"`, "")
			s.elasticProcess(signature{id: "curl-sh", title: "Script fetched and run in one line", severity: "medium", techniques: []string{"T1059.004", "T1105"}, text: "A shell fetched a script from the network and ran it."}, p, why("a developer installs a tool the way its page says"))
		default:
			p := ide.child(of("procdump", i), at, `C:\Program Files\Sysinternals\procdump64.exe`, `procdump64.exe -accepteula -ma OrderService.exe C:\dumps\order.dmp`, microsoft)
			p.original = "procdump"
			s.elasticProcess(signature{id: "dump-tool", title: "Memory dump tool started", severity: "medium", techniques: []string{"T1003.001"}, text: "A tool for memory dumps was started."}, p, why("a developer dumps his own program"))
		}
	})
	s.each("wazuh", "07:01:00", "08:44:00", 6, func(i int, at time.Time) {
		switch i % 3 {
		case 0:
			s.wazuh(signature{id: "87903", title: "Docker: Container started with privileges", severity: "medium", groups: []string{"docker"}}, s.buildLinux, at, "json", "Wazuh-Docker", object{"data": object{"integration": "docker", "docker": object{
				"Type": "container", "Action": "start", "status": "start", "id": s.digest(of("container", i), 64), "from": "registry." + s.domain + "/ci/runner:24.10", "scope": "local", "time": fmt.Sprint(at.Unix()),
				"Actor": object{"ID": s.digest(of("container", i), 64), "Attributes": object{"image": "registry." + s.domain + "/ci/runner:24.10", "name": "runner-" + s.digest(of("container", i), 8), "com.example.ci.job": s.digits(of("job", i), 6)}}}}},
				why("a container of the build runner").on(s.buildLinux, "svc-build"))
		case 1:
			log := fmt.Sprintf("%s %s sudo: svc-build : TTY=unknown ; PWD=/var/lib/runner/work ; USER=root ; COMMAND=/usr/bin/apt-get install -y build-essential", at.Format("Jan _2 15:04:05"), s.buildLinux.name)
			s.wazuh(signature{id: "5402", title: "Successful sudo to ROOT executed.", severity: "informational", groups: []string{"syslog", "sudo"}, techniques: []string{"T1059.004"}}, s.buildLinux, at, "sudo", "/var/log/auth.log", object{
				"full_log": log, "predecoder": object{"program_name": "sudo", "timestamp": at.Format("Jan _2 15:04:05"), "hostname": s.buildLinux.name},
				"data": object{"srcuser": "svc-build", "dstuser": "root", "tty": "unknown", "pwd": "/var/lib/runner/work", "command": "/usr/bin/apt-get install -y build-essential"}, //nolint:gosec // G101: sudo names the working directory pwd
			}, why("the build installs packages").on(s.buildLinux, "svc-build"))
		default:
			p := agent.child(of("compiler", i), at.Add(-2*time.Second), `C:\Program Files\Microsoft Visual Studio\2022\BuildTools\MSBuild\Current\Bin\Roslyn\csc.exe`, `csc.exe /noconfig @C:\agent\_work\7\s\obj\Core.rsp`, microsoft)
			s.wazuhFile(signature{id: "92213", title: "Executable file dropped in folder commonly used by malware", severity: "medium", groups: []string{"sysmon", "sysmon_eid11_detections", "windows"}, techniques: []string{"T1105"}}, p, `C:\agent\_work\_temp\Core.Plugin.dll`, at, why("the compiler writes what it is there for"))
		}
	})
	s.each("splunk", "07:09:00", "08:33:00", 3, func(i int, at time.Time) {
		s.splunkProcess(signature{id: "build-net", title: "Interpreter downloads from the internet", severity: "medium", techniques: []string{"T1105"}, text: "An interpreter or package manager fetched files from the internet."}, agent.child(of("npm", i), at, `C:\Program Files\nodejs\node.exe`, `node.exe "C:\Program Files\nodejs\node_modules\npm\bin\npm-cli.js" ci --prefer-offline --registry https://registry.`+s.domain, "OpenJS Foundation"), why("the build fetches packages"))
	})
	s.each("sentinel", "07:28:00", "08:18:00", 2, func(i int, at time.Time) {
		pc, who := ring(s.devs, i+1), ring(s.people[5:8], i+1)
		py := s.explorer(pc, s.logon(who.sam()), "dev/"+who.sam()).child(of("python", i), at, `C:\Program Files\Python312\python.exe`, `python.exe -m debugpy --listen 5678 service.py`, "Python Software Foundation")
		s.defenderProcess(signature{id: "listen", title: "Suspicious process listening on a port", severity: "low", text: "An interpreter waits for connections on an unusual port."}, py, "CommandAndControl", nil, why("a developer debugs a program"))
	})
}
