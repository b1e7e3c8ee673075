package eval_test

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"go.yaml.in/yaml/v3"

	"github.com/aluskort/aluskort/internal/eval"
	"github.com/aluskort/aluskort/rules"
)

type object = map[string]any

func decode(t *testing.T, raw []byte) object {
	t.Helper()
	var o object
	if err := json.Unmarshal(raw, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func encode(t *testing.T, o object) []byte {
	t.Helper()
	b, err := json.Marshal(o, json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func below(o object, path ...string) object {
	for _, k := range path {
		next, _ := o[k].(object)
		if next == nil {
			return nil
		}
		o = next
	}
	return o
}

// literal is one text of a benign rule and how the rule compares it.
type literal struct{ modifier, text string }

// benignRule is what an attacker who has read a rule can take from it: texts by field.
type benignRule struct {
	title  string
	fields map[string][]literal
}

func benignRules(t *testing.T) []benignRule {
	t.Helper()
	var out []benignRule
	err := fs.WalkDir(rules.FS, "benign", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".yml") {
			return err
		}
		b, err := fs.ReadFile(rules.FS, name)
		if err != nil {
			return err
		}
		dec := yaml.NewDecoder(strings.NewReader(string(b)))
		for {
			var doc struct {
				Title     string         `yaml:"title"`
				Detection map[string]any `yaml:"detection"`
			}
			if dec.Decode(&doc) != nil {
				return nil
			}
			r := benignRule{title: doc.Title, fields: map[string][]literal{}}
			delete(doc.Detection, "condition")
			r.collect("", doc.Detection)
			out = append(out, r)
		}
	})
	if err != nil {
		t.Skipf("no benign rules are shipped: %v", err)
	}
	if len(out) == 0 {
		t.Skip("no benign rules are shipped")
	}
	return out
}

func (r *benignRule) collect(key string, v any) {
	switch x := v.(type) {
	case map[string]any:
		for k, y := range x {
			r.collect(k, y)
		}
	case []any:
		for _, y := range x {
			r.collect(key, y)
		}
	case nil:
	default:
		field, modifier, _ := strings.Cut(key, "|")
		text := strings.NewReplacer("*", "", `\\`, `\`).Replace(fmt.Sprint(x))
		if text != "" {
			r.fields[field] = append(r.fields[field], literal{modifier, text})
		}
	}
}

// Fields that whoever causes an event can write, by Sigma's names: command lines, what a program
// says about itself, text of scripts, names of things they make. Paths count where the attacker
// may write: under the own profile.
var (
	writableText = []string{"CommandLine", "ParentCommandLine", "ScriptBlockText", "Description", "Product", "Company", "OriginalFileName", "FileVersion", "ServiceName", "Details"}
	writablePath = []string{"Image", "SourceImage", "TargetFilename", "Path", "CurrentDirectory"}
)

const ownFolder = `C:\Users\ada\AppData\Local\Temp\`

// stuff writes what a rule looks for into everything that the attacker can write, where the
// rule looks for it: at the start, inside, at the end, or whole where the field means nothing
// to the attack.
func stuff(o object, r *benignRule) {
	data := below(o, "_source", "data")
	for _, f := range writableText {
		stuffField(below(data, "win", "eventdata"), strings.ToLower(f[:1])+f[1:], r.fields[f], f)
	}
	for _, f := range writablePath {
		if ev := below(data, "win", "eventdata"); ev != nil && len(r.fields[f]) > 0 {
			if _, ok := ev[strings.ToLower(f[:1])+f[1:]].(string); ok {
				ev[strings.ToLower(f[:1])+f[1:]] = strings.ReplaceAll(pathLike(r.fields[f]), `\`, `\\`)
			}
		}
	}
	for _, f := range []string{"url", "browser", "command"} {
		stuffField(data, f, append(slices.Clone(r.fields["c-uri"]), r.fields["c-useragent"]...), f)
	}
}

func stuffField(ev object, key string, list []literal, field string) {
	old, ok := ev[key].(string)
	if !ok || len(list) == 0 {
		return
	}
	var start, inside, end, whole []string
	for _, l := range list {
		switch {
		case strings.HasPrefix(l.modifier, "startswith"):
			start = append(start, l.text)
		case strings.HasPrefix(l.modifier, "endswith"):
			end = append(end, l.text)
		case l.modifier == "":
			whole = append(whole, l.text)
		default:
			inside = append(inside, l.text)
		}
	}
	about := field == "Description" || field == "Product" || field == "Company" || field == "OriginalFileName" || field == "FileVersion"
	if about && len(whole) > 0 {
		ev[key] = whole[0]
		return
	}
	parts := slices.Concat(first(start), []string{old}, inside, whole, first(end))
	ev[key] = strings.Join(parts, " ")
}

func first(list []string) []string { return list[:min(1, len(list))] }

// pathLike is a path under the own folder that holds what the rule looks for.
func pathLike(list []literal) string {
	p, name := strings.TrimSuffix(ownFolder, `\`), ""
	for _, l := range list {
		text := strings.Trim(strings.TrimPrefix(strings.TrimPrefix(l.text, `C:`), `%`), `\`)
		switch {
		case strings.HasPrefix(l.modifier, "endswith"), l.modifier == "":
			name = text[strings.LastIndexByte(text, '\\')+1:]
		default:
			p += `\` + text
		}
	}
	if name == "" {
		name = "setup.exe"
	}
	return p + `\` + name
}

// Whoever has read the benign rules can write their texts wherever an attacker writes. Nothing
// that was not called benign before may be called so then.
func TestStuffingNeverMakesBenign(t *testing.T) {
	records, _ := fixtures(t)
	list := benignRules(t)
	every := benignRule{title: "all rules at once", fields: map[string][]literal{}}
	for _, r := range list {
		for f, l := range r.fields {
			every.fields[f] = append(every.fields[f], l...)
		}
	}
	list = append(list, every)
	plain, err := judge(t)(t.Context(), records, true)
	if err != nil {
		t.Fatal(err)
	}
	type variation struct{ record, rule int }
	var which []variation
	var stuffed [][]byte
	for i := range records {
		if plain[i].Line.Result == nil {
			t.Fatalf("record %d has no verdict: %+v", i, plain[i].Line.Rejection)
		}
		if plain[i].Line.Investigation.Classification.Benign() {
			continue
		}
		for k := range list {
			if testing.Short() && (i+k)%8 != 0 && k < len(list)-1 {
				continue
			}
			o := decode(t, records[i])
			stuff(o, &list[k])
			if b := encode(t, o); string(b) != string(encode(t, decode(t, records[i]))) {
				which, stuffed = append(which, variation{i, k}), append(stuffed, b)
			}
		}
	}
	if len(stuffed) < len(list)/8 {
		t.Fatalf("only %d variations: the rules' texts were not found", len(stuffed))
	}
	got, err := judge(t)(t.Context(), stuffed, true)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range which {
		if got[i].Line.Result == nil {
			t.Errorf("%s, stuffed with %q: no verdict: %+v", plain[v.record].Line.Alert.Title, list[v.rule].title, got[i].Line.Rejection)
			continue
		}
		if c := got[i].Line.Investigation.Classification; c.Benign() {
			t.Errorf("%s: was %s, is %s when stuffed with the texts of %q\n%s", plain[v.record].Line.Alert.Title,
				plain[v.record].Line.Investigation.Classification, c, list[v.rule].title, stuffed[i])
		}
	}
	t.Logf("%d variations", len(stuffed))
}

// paths lists every key of a record, inner ones too.
func paths(o object, prefix []string, out *[][]string) {
	for k, v := range o {
		p := append(slices.Clone(prefix), k)
		*out = append(*out, p)
		if inner, ok := v.(object); ok {
			paths(inner, p, out)
		}
	}
}

// needed are the fields whose absence must cost quality and be named as an unknown.
var needed = []string{"_source.rule.description", "_source.rule.level", "_source.rule", "_source.agent", "_source.timestamp"}

// Whatever a record lacks, it becomes a verdict.
func TestEachFieldRemovedInTurn(t *testing.T) {
	records, _ := fixtures(t)
	type variation struct {
		record int
		path   []string
	}
	var which []variation
	var poorer [][]byte
	for i, raw := range records {
		var all [][]string
		paths(decode(t, raw), nil, &all)
		slices.SortFunc(all, slices.Compare)
		for k, p := range all {
			name := strings.Join(p, ".")
			if name == "_source" || testing.Short() && (i+k)%8 != 0 && !slices.Contains(needed, name) {
				continue
			}
			o := decode(t, raw)
			delete(below(o, p[:len(p)-1]...), p[len(p)-1])
			which, poorer = append(which, variation{i, p}), append(poorer, encode(t, o))
		}
	}
	plain, err := judge(t)(t.Context(), records, true)
	if err != nil {
		t.Fatal(err)
	}
	got, err := judge(t)(t.Context(), poorer, true)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range which {
		name, was := strings.Join(v.path, "."), plain[v.record].Line.Result
		is := got[i].Line.Result
		if is == nil {
			t.Errorf("%s without %s: rejected: %s", was.Alert.Title, name, got[i].Line.Rejected.Reason)
			continue
		}
		if is.Alert.Quality > was.Alert.Quality {
			t.Errorf("%s without %s: quality rose from %v to %v", was.Alert.Title, name, was.Alert.Quality, is.Alert.Quality)
		}
		if slices.Contains(needed, name) {
			if is.Alert.Quality >= was.Alert.Quality {
				t.Errorf("%s without %s: quality stays %v", was.Alert.Title, name, is.Alert.Quality)
			}
			if len(is.Investigation.Unknowns) <= len(was.Investigation.Unknowns) {
				t.Errorf("%s without %s: nothing says that it is unknown: %q", was.Alert.Title, name, is.Investigation.Unknowns)
			}
		}
	}
	t.Logf("%d variations", len(poorer))
}

// What the pipeline stored must be reproduced from the stored evidence alone, links included:
// else the figures without a rule would mean nothing.
func TestAblationReproducesThePipeline(t *testing.T) {
	records, labels := fixtures(t)
	rep, err := eval.Triage(t.Context(), judge(t), records, labels, eval.Options{Ablate: true, Rescore: eval.NewRescorer()})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Ablation.Rules == 0 || rep.Ablation.Unreproduced > 0 {
		t.Errorf("the scorer does not reproduce what the pipeline stored: %+v", rep.Ablation)
	}
}
