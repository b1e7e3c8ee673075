package sigma

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"go.yaml.in/yaml/v3"
)

// Report says what became of the rules of a folder.
type Report struct {
	// Files and Rules count what was read and what is usable.
	Files, Rules int
	// Problems name every rule that is not usable, in the order of files and lines.
	Problems []*RuleError
}

// LoadDir reads every .yml and .yaml file below the root of fsys, in the order of their names.
// Rules that cannot be used are left out and reported. The error is only for a folder that
// cannot be read.
func LoadDir(fsys fs.FS) ([]*Rule, Report, error) {
	var rules []*Rule
	var rep Report
	var names []string
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("sigma: read rules: %w", err)
		}
		base := path.Base(name)
		if d.IsDir() {
			if base != "." && strings.HasPrefix(base, ".") {
				return fs.SkipDir
			}
			return nil
		}
		if ext := path.Ext(base); ext != ".yml" && ext != ".yaml" || !d.Type().IsRegular() {
			return nil
		}
		names = append(names, name)
		return nil
	})
	byID := make(map[string]*Rule)
	for _, f := range loadFiles(fsys, names) {
		rep.Problems = append(rep.Problems, f.problems...)
		for _, r := range f.rules {
			if first := byID[r.ID]; first != nil {
				rep.Problems = append(rep.Problems, duplicateOf(r, first))
				continue
			}
			byID[r.ID] = r
			rules = append(rules, r)
		}
	}
	rep.Files, rep.Rules = len(names), len(rules)
	return rules, rep, err
}

// loaded is what a file holds.
type loaded struct {
	rules    []*Rule
	problems []*RuleError
}

// loadFiles reads files on all processors, since a start waits for it, and returns them in order.
func loadFiles(fsys fs.FS, names []string) []loaded {
	out := make([]loaded, len(names))
	var next atomic.Int64
	var readers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(names)) {
		readers.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(names); i = int(next.Add(1)) - 1 {
				out[i].rules, out[i].problems = loadFile(fsys, names[i])
			}
		})
	}
	readers.Wait()
	return out
}

func duplicateOf(r, first *Rule) *RuleError {
	return &RuleError{
		File: r.File, Line: r.Line, Title: r.Title, ID: r.ID, Kind: ErrDuplicate,
		Reason: fmt.Sprintf("the id %s is taken by %q in %s", r.ID, first.Title, first.File),
		Fix:    "give the rule an id of its own",
	}
}

func loadFile(fsys fs.FS, name string) ([]*Rule, []*RuleError) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, []*RuleError{{File: name, Kind: ErrInvalid, Reason: "cannot be opened: " + err.Error(), Fix: "check its permissions"}}
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, []*RuleError{{File: name, Kind: ErrInvalid, Reason: "cannot be read: " + err.Error(), Fix: "check the disk"}}
	}
	return Load(name, data)
}

// Load reads the rules of one file. name is used in messages only. Both results may be
// non-empty: documents that are no usable rule do not spoil the others.
func Load(name string, data []byte) ([]*Rule, []*RuleError) {
	if len(data) > maxFileBytes {
		return nil, []*RuleError{{File: name, Kind: ErrInvalid,
			Reason: fmt.Sprintf("the file is larger than %d bytes", maxFileBytes), Fix: "split it"}}
	}
	var rules []*Rule
	var problems []*RuleError
	dec := yaml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))))
	for {
		n, err := decode(dec)
		if errors.Is(err, io.EOF) {
			return rules, problems
		}
		if err != nil {
			return rules, append(problems, &RuleError{File: name, Kind: ErrInvalid,
				Reason: "not valid YAML: " + strings.TrimPrefix(err.Error(), "yaml: "), Fix: "mend the syntax at that line"})
		}
		if n.Kind != yaml.DocumentNode || len(n.Content) == 0 || isNull(n.Content[0]) {
			continue
		}
		r, p := readRule(n.Content[0])
		if p != nil {
			problems = append(problems, p.in(name, r))
			continue
		}
		r.File = name
		rules = append(rules, r)
	}
}

// decode reads the next document. The YAML reader panics on a few kinds of broken input; that
// must not take the process down.
func decode(dec *yaml.Decoder) (n *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("cannot be parsed (%v)", r)
		}
	}()
	n = new(yaml.Node)
	err = dec.Decode(n)
	return n, err
}

// readRule reads one document. On a problem the rule holds what was read of its head.
func readRule(n *yaml.Node) (*Rule, *problem) {
	r := &Rule{Line: n.Line, Stance: Malicious, Weight: -1}
	rd := newReader()
	pairs, p := rd.pairs(n, "the document")
	if p != nil {
		return r, p
	}
	nodes := make(map[string]pair, len(pairs))
	for _, kv := range pairs {
		nodes[kv.key] = kv
	}
	if p := r.readHead(rd, nodes); p != nil {
		return r, p
	}
	if p := foreignDocument(nodes); p != nil {
		return r, p
	}
	for _, kv := range pairs {
		if p := r.readKey(rd, kv); p != nil {
			return r, p
		}
	}
	return r, r.finish(rd, n, nodes)
}

// readHead reads what messages need first.
func (r *Rule) readHead(rd *reader, nodes map[string]pair) *problem {
	var p *problem
	if kv, ok := nodes["id"]; ok {
		if r.ID, p = rd.text(kv.val, "id"); p != nil {
			return p
		}
	}
	if kv, ok := nodes["title"]; ok {
		if r.Title, p = rd.text(kv.val, "title"); p != nil {
			return p
		}
	}
	return nil
}

// foreignDocument recognises documents that are Sigma but no detection rule.
func foreignDocument(nodes map[string]pair) *problem {
	switch {
	case has(nodes, "correlation"):
		return unsupported(nodes["correlation"].line, "state repetition as \"count\" in the aluskort block of a rule", "correlation documents are not supported")
	case has(nodes, "filter") && !has(nodes, "detection"):
		return unsupported(nodes["filter"].line, "put the exclusion into the rules", "filter documents are not supported")
	case has(nodes, "action"):
		return unsupported(nodes["action"].line, "write each rule out as a document of its own", "rule collections with \"action\" are not supported")
	default:
		return nil
	}
}

func has(nodes map[string]pair, key string) bool { _, ok := nodes[key]; return ok }

var (
	statuses = map[string]bool{"": true, "stable": true, "test": true, "experimental": true, "deprecated": true, "unsupported": true}
	listed   = map[string]func(*Rule) *[]string{
		"references": func(r *Rule) *[]string { return &r.References }, "tags": func(r *Rule) *[]string { return &r.Tags },
		"fields": func(r *Rule) *[]string { return &r.Fields }, "falsepositives": func(r *Rule) *[]string { return &r.FalsePositives },
		"scope": func(r *Rule) *[]string { return &r.Scope },
	}
	single = map[string]func(*Rule) *string{
		"name": func(r *Rule) *string { return &r.Name }, "taxonomy": func(r *Rule) *string { return &r.Taxonomy },
		"status": func(r *Rule) *string { return &r.Status }, "description": func(r *Rule) *string { return &r.Description },
		"license": func(r *Rule) *string { return &r.License }, "date": func(r *Rule) *string { return &r.Date },
		"modified": func(r *Rule) *string { return &r.Modified }, "level": func(r *Rule) *string { return &r.Level },
	}
)

func (r *Rule) readKey(rd *reader, kv pair) *problem {
	var p *problem
	if get := single[kv.key]; get != nil {
		*get(r), p = rd.text(kv.val, kv.key)
		return p
	}
	if get := listed[kv.key]; get != nil {
		*get(r), p = rd.texts(kv.val, kv.key)
		return p
	}
	switch kv.key {
	case "title", "id", "detection":
	case "author":
		var names []string
		names, p = rd.texts(kv.val, kv.key)
		r.Author = strings.Join(names, ", ")
	case "related":
		r.Related, p = readRelated(rd, kv.val)
	case "logsource":
		r.Logsource, p = readLogsource(rd, kv.val)
	case "aluskort":
		p = r.readExtension(rd, kv.val)
	default:
		var v any
		if v, p = rd.value(kv.val, 0); p == nil {
			if r.Extra == nil {
				r.Extra = make(map[string]any)
			}
			r.Extra[kv.key] = v
		}
	}
	return p
}

func (r *Rule) finish(rd *reader, n *yaml.Node, nodes map[string]pair) *problem {
	level, known := levelWeights[r.Level]
	switch {
	case r.Title == "":
		return invalid(n.Line, "add \"title: what the rule detects\"", "the rule has no title")
	case !known:
		return invalid(nodes["level"].line, "write informational, low, medium, high or critical", "the level %q is unknown", clip(r.Level))
	case !statuses[r.Status]:
		return invalid(nodes["status"].line, "write stable, test, experimental, deprecated or unsupported", "the status %q is unknown", clip(r.Status))
	case r.Status == "unsupported":
		return unsupported(nodes["status"].line, "", "the rule says that it is unsupported")
	case r.Status == "deprecated":
		return &problem{line: nodes["status"].line, reason: "the rule is deprecated", fix: "use the rule that its \"related\" names", kind: ErrRetired}
	case !has(nodes, "logsource"):
		return invalid(n.Line, "add logsource with category, product or service", "the rule has no logsource")
	case r.Logsource.Product == "" && r.Logsource.Category == "" && r.Logsource.Service == "":
		return invalid(nodes["logsource"].line, "add category, product or service", "the logsource is empty")
	case !has(nodes, "detection"):
		return invalid(n.Line, "add detection with a selection and a condition", "the rule has no detection")
	case r.Taxonomy != "" && r.Taxonomy != "sigma":
		return unsupported(nodes["taxonomy"].line, "use the field names of the sigma taxonomy", "the taxonomy %q is not supported", clip(r.Taxonomy))
	}
	if r.Weight < 0 {
		r.Weight = level
	}
	if r.ID == "" {
		r.ID = "sha256:" + contentHash(rd, n)
	}
	r.readTags()
	root, expands, p := buildDetection(nodes["detection"].val, nil, true)
	if p != nil {
		return p
	}
	if expands {
		r.deferred = &detectionSource{nodes["detection"].val}
	} else {
		r.root = root
	}
	return nil
}

// contentHash is stable under changes of order, comments and layout of other documents.
func contentHash(rd *reader, n *yaml.Node) string {
	h := sha256.New()
	var walk func(n *yaml.Node, depth int)
	walk = func(n *yaml.Node, depth int) {
		n, p := rd.node(n)
		if p != nil || depth > maxDepth {
			return
		}
		_, _ = fmt.Fprintf(h, "%d:%d:%s\n", n.Kind, len(n.Value), n.Value)
		for _, c := range n.Content {
			walk(c, depth+1)
		}
	}
	walk(n, 0)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func readRelated(rd *reader, n *yaml.Node) ([]Related, *problem) {
	if isNull(n) {
		return nil, nil
	}
	if n.Kind != yaml.SequenceNode {
		return nil, invalid(n.Line, "write a list of id and type", "related is %s, not a list", kindName(n))
	}
	items, p := rd.items(n)
	if p != nil {
		return nil, p
	}
	out := make([]Related, 0, len(items))
	for _, it := range items {
		pairs, p := rd.pairs(it, "an item of related")
		if p != nil {
			return nil, p
		}
		var x Related
		for _, kv := range pairs {
			s, p := rd.text(kv.val, "related "+clip(kv.key))
			if p != nil {
				return nil, p
			}
			switch kv.key {
			case "id":
				x.ID = s
			case "type":
				x.Type = s
			}
		}
		out = append(out, x)
	}
	return out, nil
}

func readLogsource(rd *reader, n *yaml.Node) (Logsource, *problem) {
	var ls Logsource
	if isNull(n) {
		return ls, nil
	}
	pairs, p := rd.pairs(n, "logsource")
	if p != nil {
		return ls, p
	}
	for _, kv := range pairs {
		var dst *string
		switch kv.key {
		case "product":
			dst = &ls.Product
		case "category":
			dst = &ls.Category
		case "service":
			dst = &ls.Service
		case "definition":
			dst = &ls.Definition
		default:
			continue // the specification allows further elements for readers
		}
		if *dst, p = rd.text(kv.val, "logsource "+kv.key); p != nil {
			return ls, p
		}
	}
	ls.Product, ls.Category, ls.Service = strings.ToLower(ls.Product), strings.ToLower(ls.Category), strings.ToLower(ls.Service)
	return ls, nil
}
