package parse
import ("testing";"bufio";"os";"fmt";"encoding/json")
func TestTry(t *testing.T){
 s:=NewScanner()
 f,_:=os.Open("../../../shared/data/triage/wazuh_labelled/alerts.jsonl")
 sc:=bufio.NewScanner(f); sc.Buffer(nil,1<<24)
 seen:=map[string]int{}
 var walk func(v any)
 walk=func(v any){ switch x:=v.(type){ case string: s.Scan(x,func(m Match){seen[string(m.Type)+" "+m.Value]++}); case map[string]any: for _,y:=range x{walk(y)}; case []any: for _,y:=range x{walk(y)}}}
 for sc.Scan(){ var v any; json.Unmarshal(sc.Bytes(),&v); walk(v)}
 f,_=os.Open("../../../shared/data/alerts/sentinel/secrl_security_alert.jsonl")
 sc=bufio.NewScanner(f); sc.Buffer(nil,1<<24)
 for sc.Scan(){ var v map[string]any; json.Unmarshal(sc.Bytes(),&v); delete(v,"Entities"); walk(v)}
 for k,n:=range seen{fmt.Println(k,n)}
}
