package intel

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
)

const maxLine = 16 << 10

// readList reads one value per line. A number after the value is the count of lists that
// name it (ipsum); an address of the machine itself before it makes the line one of a hosts
// file; other columns are kept as context. Comments start with "#", "//" or ";"; what a
// comment gives as reference is the context of the values below it (maltrail).
func (s *sink) readList(br *bufio.Reader) error {
	var reference string
	fresh := false
	for n := 1; ; n++ {
		line, err := readLine(br)
		if errors.Is(err, io.EOF) {
			return nil
		}
		place := "line " + strconv.Itoa(n)
		if errors.Is(err, errLongLine) {
			s.refuse(place, line, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("intel: read %s: %w", place, err)
		}
		line = strings.TrimSpace(line)
		if comment, ok := listComment(line); ok {
			if ref, found := strings.CutPrefix(comment, "Reference:"); found && !fresh {
				reference, fresh = strings.TrimSpace(ref), true
			}
			continue
		}
		if line == "" {
			continue
		}
		fresh = false
		if err := s.listRow(place, line, reference); err != nil {
			return err
		}
	}
}

func listComment(line string) (string, bool) {
	for _, mark := range [...]string{"#", "//", ";"} {
		if rest, ok := strings.CutPrefix(line, mark); ok {
			return strings.TrimSpace(rest), true
		}
	}
	return "", false
}

func (s *sink) listRow(place, line, reference string) error {
	if i := strings.Index(line, " #"); i >= 0 {
		line = line[:i]
	}
	value, rest := firstColumn(line)
	second, _ := firstColumn(rest)
	ind := s.base()
	ind.Context = reference
	switch {
	case value == "0.0.0.0" || value == "127.0.0.1" || value == "::1" || value == "::":
		if second != "" {
			value = second
		}
	case digits(second) && len(second) <= 4:
		n, _ := strconv.Atoi(second)
		ind.Confidence = countConfidence(n)
	case rest != "":
		ind.Context = rest
	}
	return s.add(place, "", value, ind)
}

// firstColumn splits at the first tab, comma, semicolon or space and unquotes the column.
func firstColumn(line string) (column, rest string) {
	line = strings.TrimSpace(line)
	if strings.HasPrefix(line, `"`) {
		if end := strings.IndexByte(line[1:], '"'); end >= 0 {
			return line[1 : end+1], strings.TrimLeft(line[end+2:], ",;\t ")
		}
	}
	i := strings.IndexAny(line, "\t,; ")
	if i < 0 {
		return line, ""
	}
	return line[:i], strings.Trim(line[i:], ",;\t ")
}

var errLongLine = fmt.Errorf("the line is longer than %d bytes", maxLine)

// readLine returns the next line without its end. A line over the limit is read to its end
// and comes back shortened with errLongLine; io.EOF comes alone.
func readLine(br *bufio.Reader) (string, error) {
	var line []byte
	long, any := false, false
	for {
		part, more, err := br.ReadLine()
		if err != nil {
			if any && errors.Is(err, io.EOF) {
				break
			}
			return "", err
		}
		any = true
		if room := maxLine - len(line); len(part) > room {
			part, long = part[:room], true
		}
		line = append(line, part...)
		if !more {
			break
		}
	}
	if long {
		return string(line), errLongLine
	}
	return string(line), nil
}

// typeWords are the names that feeds give to kinds of indicators.
var typeWords = map[string]alert.IndicatorType{
	"ip": alert.IndicatorIPv4, "ipv4": alert.IndicatorIPv4, "ipv6": alert.IndicatorIPv6,
	"ip_address": alert.IndicatorIPv4, "ipaddress": alert.IndicatorIPv4, "ipv4_addr": alert.IndicatorIPv4,
	"ipv6_addr": alert.IndicatorIPv6, "ip:port": alert.IndicatorIPv4, "ip_port": alert.IndicatorIPv4,
	"cidr": alert.IndicatorIPv4, "network": alert.IndicatorIPv4, "ip_src": alert.IndicatorIPv4,
	"ip_dst": alert.IndicatorIPv4, "dst_ip": alert.IndicatorIPv4, "src_ip": alert.IndicatorIPv4,
	"domain": alert.IndicatorDomain, "hostname": alert.IndicatorDomain, "host": alert.IndicatorDomain,
	"fqdn": alert.IndicatorDomain, "domain_name": alert.IndicatorDomain, "domainname": alert.IndicatorDomain,
	"url": alert.IndicatorURL, "uri": alert.IndicatorURL, "link": alert.IndicatorURL,
	"email": alert.IndicatorEmail, "email_addr": alert.IndicatorEmail, "mail": alert.IndicatorEmail,
	"email_address": alert.IndicatorEmail, "email_src": alert.IndicatorEmail, "sender": alert.IndicatorEmail,
	"md5": alert.IndicatorMD5, "md5_hash": alert.IndicatorMD5, "filehash_md5": alert.IndicatorMD5,
	"hash_md5": alert.IndicatorMD5, "file_md5": alert.IndicatorMD5,
	"sha1": alert.IndicatorSHA1, "sha_1": alert.IndicatorSHA1, "sha1_hash": alert.IndicatorSHA1,
	"filehash_sha1": alert.IndicatorSHA1, "hash_sha1": alert.IndicatorSHA1,
	"sha256": alert.IndicatorSHA256, "sha_256": alert.IndicatorSHA256, "sha256_hash": alert.IndicatorSHA256,
	"filehash_sha256": alert.IndicatorSHA256, "hash_sha256": alert.IndicatorSHA256,
	"cve": alert.IndicatorCVE, "cve_id": alert.IndicatorCVE, "vulnerability": alert.IndicatorCVE,
	"user_agent": alert.IndicatorUserAgent, "useragent": alert.IndicatorUserAgent,
	"path": alert.IndicatorPath, "file_path": alert.IndicatorPath, "filepath": alert.IndicatorPath,
	"registry": alert.IndicatorRegistry, "regkey": alert.IndicatorRegistry, "registry_key": alert.IndicatorRegistry,
	// The length tells which hash it is.
	"hash": "", "file": "", "filehash": "", "file_hash": "",
}

func word(s string) string {
	s = strings.Trim(strings.ToLower(strings.TrimSpace(s)), `"'`)
	return strings.NewReplacer(" ", "_", "-", "_", ".", "_").Replace(s)
}
