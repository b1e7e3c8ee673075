package api

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"strconv"
	"testing"
)

// TestCatalogueIsComplete reads the constants of the source: a code without an entry would be
// answered with status 0.
func TestCatalogueIsComplete(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := map[Code]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, ok := v.Type.(*ast.Ident); ok && id.Name == "Code" && len(v.Values) == 1 {
			s, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			codes[Code(s)] = true
		}
		return true
	})
	catalogue := Catalogue()
	for c := range codes {
		if e, ok := catalogue[c]; !ok || http.StatusText(e.Status) == "" || e.Status < 400 || e.Title == "" {
			t.Errorf("%s: %+v", c, e)
		}
	}
	if len(codes) != len(catalogue) || len(codes) < 20 {
		t.Errorf("%d codes, %d entries", len(codes), len(catalogue))
	}
}
