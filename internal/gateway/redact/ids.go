package redact

// isGUID reports the form 8-4-4-4-12 of hex digits.
func isGUID(s string) bool { return len(s) == 36 && guidAt(s, 0) }

// guidAt reports whether a GUID stands at i.
func guidAt(s string, i int) bool {
	if i+36 > len(s) {
		return false
	}
	for n := range 36 {
		b := s[i+n]
		switch n {
		case 8, 13, 18, 23:
			if b != '-' {
				return false
			}
		default:
			if chars[b]&cHex == 0 {
				return false
			}
		}
	}
	return !wordAt(s, i+36)
}

// personalSID reports SIDs of accounts, groups and machines of somebody's domain or directory.
// Those of built-in groups and services are the same everywhere and stay.
func personalSID(v string) bool {
	return matchFold(v, 0, "s-1-5-21-") >= 0 || matchFold(v, 0, "s-1-12-1-") >= 0
}

func luhn(d []byte) bool {
	sum := 0
	for i := range d {
		n := int(d[len(d)-1-i])
		if i%2 == 1 {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
	}
	return len(d) > 1 && sum%10 == 0
}

// cardNumber reports whether the digits are a payment card by issuer, length and check digit.
// sure is false for issuers whose range is so wide that ids fall into it.
func cardNumber(d []byte) (ok, sure bool) {
	if len(d) < 12 || len(d) > 19 || !luhn(d) {
		return false, false
	}
	n := len(d)
	two := int(d[0])*10 + int(d[1])
	four := two*100 + int(d[2])*10 + int(d[3])
	switch {
	case d[0] == 4:
		return n == 13 || n == 16 || n == 19, true
	case two >= 51 && two <= 55 || four >= 2221 && four <= 2720:
		return n == 16, true
	case two == 34 || two == 37:
		return n == 15, true
	case four == 6011 || two == 65 || two == 64:
		return n >= 16, true
	case four >= 3528 && four <= 3589:
		return n >= 16, true
	case four == 1800 || four == 2131:
		return n == 15, true
	case two == 36 || two == 30 || two == 38 || two == 39:
		return n == 14 || n == 16, true
	case two == 62:
		return n >= 16, true
	case d[0] == 5 && (two == 50 || two >= 56) || d[0] == 6:
		return true, n >= 16
	}
	return false, false
}

// ibanLengths are those of the countries in the registry.
var ibanLengths = map[string]int{
	"AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
	"CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
	"FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
	"IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
	"LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18,
	"NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24,
	"SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
}

// mod97 is the check of an IBAN (ISO 7064) given without spaces.
func mod97(s string) bool {
	rest := 0
	for i := range len(s) {
		b := s[(i+4)%len(s)]
		switch c := chars[b]; {
		case c&cDigit != 0:
			rest = (rest*10 + int(b-'0')) % 97
		case c&cLetter != 0:
			rest = (rest*100 + int(lower[b]-'a') + 10) % 97
		default:
			return false
		}
	}
	return rest == 1
}

func plausibleDay(day, month int) bool { return day >= 1 && day <= 31 && month >= 1 && month <= 12 }

func pair(d []byte, i int) int { return int(d[i])*10 + int(d[i+1]) }

// pesel is the Polish personal number: a birth date and a weighted check digit.
func pesel(d []byte) bool {
	if len(d) != 11 || !plausibleDay(pair(d, 4), pair(d, 2)%20) {
		return false
	}
	sum := 0
	for i, w := range [...]int{1, 3, 7, 9, 1, 3, 7, 9, 1, 3} {
		sum += w * int(d[i])
	}
	return (10-sum%10)%10 == int(d[10])
}

// cpf is the Brazilian taxpayer number with its two check digits.
func cpf(d []byte) bool {
	if len(d) != 11 {
		return false
	}
	check := func(n int) byte {
		sum := 0
		for i := range n {
			sum += int(d[i]) * (n + 1 - i)
		}
		return byte(sum * 10 % 11 % 10)
	}
	return check(9) == d[9] && check(10) == d[10]
}

// dniLetters check the Spanish identity number modulo 23, hetuMarks the Finnish one modulo 31.
const (
	dniLetters = "TRWAGMYFPDXBNJZSQVHLCKE"
	hetuMarks  = "0123456789ABCDEFHJKLMNPRSTUVWXY"
)

func number(d []byte) (n int) {
	for _, x := range d {
		n = n*10 + int(x)
	}
	return n
}

// ssn reports a US social security number by the areas, groups and serials in use.
func ssn(d []byte) bool {
	area := number(d[:3])
	return area != 0 && area != 666 && area < 900 && pair(d, 3) != 0 && number(d[5:9]) != 0
}
