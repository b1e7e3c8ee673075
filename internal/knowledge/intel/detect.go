package intel

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/aluskort/aluskort/internal/knowledge/feed"
)

// detect looks at the beginning of the file without consuming it.
func detect(br *bufio.Reader) (Format, error) {
	head, err := br.Peek(feed.PeekSize)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return "", err
	}
	text := strings.TrimLeft(string(head), " \t\r\n")
	switch {
	case text == "":
		return "", fmt.Errorf("%w: it is empty", ErrUnknownFormat)
	case text[0] == '{' || text[0] == '[':
		if f, err := detectJSON(text); f != "" || err != nil {
			return f, err
		}
		if text[0] == '{' {
			return "", fmt.Errorf("%w: JSON with unknown members", ErrUnknownFormat)
		}
	case text[0] == '<':
		return "", fmt.Errorf("%w: it looks like XML or HTML", ErrUnknownFormat)
	case strings.IndexByte(text, 0) >= 0:
		return "", fmt.Errorf("%w: it is binary", ErrUnknownFormat)
	}
	if h := findHeader(text); h != nil {
		return FormatCSV, nil
	}
	return FormatList, nil
}

// detectJSON goes by the names of the outermost members; for an array, by those of its
// first element.
func detectJSON(text string) (Format, error) {
	dec := jsontext.NewDecoder(strings.NewReader(text), feed.Lenient()...)
	if dec.PeekKind() == '[' {
		_, _ = dec.ReadToken()
	}
	if dec.PeekKind() != '{' {
		return "", nil
	}
	_, _ = dec.ReadToken()
	seen := map[string]string{}
	for dec.PeekKind() == '"' {
		key, err := dec.ReadToken()
		if err != nil {
			break
		}
		name := key.String()
		switch name {
		case "objects":
			return FormatSTIX, nil
		case "Event", "response", "Attribute":
			return FormatMISP, nil
		case "vulnerabilities":
			return FormatKEV, nil
		case "matching_attributes":
			return "", ErrWarningList
		}
		value, err := dec.ReadValue()
		if err != nil {
			break
		}
		if len(value) < 100 {
			seen[name] = string(value)
		}
		if seen["type"] == `"bundle"` || (seen["type"] != "" && strings.Contains(seen["id"], "--")) {
			return FormatSTIX, nil
		}
		if seen["catalogVersion"] != "" {
			return FormatKEV, nil
		}
	}
	if seen["name"] != "" && seen["version"] != "" && seen["type"] != "" || strings.Contains(text, `"matching_attributes"`) {
		return "", ErrWarningList
	}
	if strings.Contains(text, `"list"`) && seen["description"] != "" {
		return "", ErrWarningList
	}
	return "", nil
}
