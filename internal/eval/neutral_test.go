package eval

import "testing"

func TestNeutralise(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"kit in a path", `{"p":"C:\\AtomicRedTeam\\atomics\\T1036.003\\bin"}`, `{"p":"C:\\MarbleTanPond\\marbles\\Q4369.336\\bin"}`},
		{"verb and kit", `{"p":"Invoke-AtomicTest T1059"}`, `{"p":"Invoke-MarbleWork Q4382"}`},
		{"two words", `{"p":"a Red Team and REDCANARYCO"}`, `{"p":"a Tan Pond and BLUESPARROW"}`},
		{"whole words only", `{"p":"latest available attested label contest"}`, ``},
		{"parts of words by capitals", `{"p":"MyTestRun HomeLab test_lab"}`, `{"p":"MyItemRun HomeBay item_bay"}`},
		{"verbs of PowerShell stay", `{"p":"Test-NetConnection; test x"}`, `{"p":"Test-NetConnection; item x"}`},
		{"the policy probe of PowerShell stays", `{"p":"__PSScriptPolicyTest_ab.ps1"}`, ``},
		{"what the source states stays", `{"rule":{"mitre":{"id":["T1059"]}},"ruleName":"technique_id=T1059"}`, `{"rule":{"mitre":{"id":["T1059"]}},"ruleName":"technique_id=Q4382"}`},
		{"keys and numbers stay", `{"test":1,"lab":true}`, ``},
		{"capitals", `{"p":"TEST Lab LAB"}`, `{"p":"ITEM Bay BAY"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.want == "" {
				c.want = c.in
			}
			got, err := Neutralise([]byte(c.in))
			if err != nil || string(got) != c.want {
				t.Errorf("got %s, %v\nwant %s", got, err, c.want)
			}
		})
	}
}
