package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is the path that go.mod gives; imports below it are ours.
const module = "github.com/aluskort/aluskort"

// pkg is one folder of Go files.
type pkg struct {
	path    string // relative to the module, with slashes
	name    string
	imports []imported
	docs    []doc
	calls   []call
	hasCode bool // has files that are not tests
}

// imported is an import of production code. Ours are relative to the module.
type imported struct {
	path string
	ours bool
	at   string
}

type doc struct{ text, at string }

// call is a mention of something that the rules watch: "func init", "time.Now".
type call struct{ what, at string }

// root is the folder of go.mod.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(b), "module "+module+"\n") {
		t.Fatalf("%s is not the module %s", dir, module)
	}
	return dir
}

// skipped reports whether the go tool and these tests leave a folder out.
func skipped(name string) bool {
	return name != "." && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "vendor" || name == "bin" || name == "dist")
}

// load reads every package of the module, ordered by path.
func load(t *testing.T) []*pkg {
	t.Helper()
	dir := root(t)
	found := map[string]*pkg{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != dir && skipped(d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasPrefix(d.Name(), "_") || strings.HasPrefix(d.Name(), ".") {
			return nil
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		p := found[path.Dir(rel)]
		if p == nil {
			p = &pkg{path: path.Dir(rel)}
			found[p.path] = p
		}
		if strings.HasSuffix(rel, "_test.go") {
			return nil
		}
		return p.read(name, rel)
	})
	if err != nil {
		t.Fatal(err)
	}
	var list []*pkg
	for _, p := range found {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *pkg) int { return strings.Compare(a.path, b.path) })
	if len(list) < 10 {
		t.Fatalf("found only %d packages below %s", len(list), dir)
	}
	return list
}

// read adds one file.
func (p *pkg) read(name, rel string) error {
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, name, nil, parser.ParseComments)
	if err != nil {
		return err
	}
	at := func(n ast.Node) string { return rel + ":" + strconv.Itoa(files.Position(n.Pos()).Line) }
	p.hasCode, p.name = true, f.Name.Name
	if f.Doc != nil {
		p.docs = append(p.docs, doc{f.Doc.Text(), at(f.Doc)})
	}
	for _, spec := range f.Imports {
		to, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		i := imported{path: to, at: at(spec)}
		if sub, ok := strings.CutPrefix(to, module+"/"); ok {
			i.path, i.ours = sub, true
		}
		p.imports = append(p.imports, i)
	}
	if !ast.IsGenerated(f) {
		p.watch(f, at)
	}
	return nil
}

// watch notes init functions and where the time is read.
func (p *pkg) watch(f *ast.File, at func(ast.Node) string) {
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Name.Name == "init" && n.Recv == nil {
				p.calls = append(p.calls, call{"func init", at(n)})
			}
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" {
				p.calls = append(p.calls, call{"time." + n.Sel.Name, at(n)})
			}
		}
		return true
	})
}

// below reports whether p is one of the folders or inside one.
func below(p string, folders ...string) bool {
	for _, f := range folders {
		if p == f || strings.HasPrefix(p, f+"/") {
			return true
		}
	}
	return false
}

// suite reports whether p is a package for tests: storetest, bustest, llmtest.
func suite(p string) bool {
	base := path.Base(p)
	return strings.HasSuffix(base, "test") && strings.HasPrefix(p, "internal/")
}
