package demo

import (
	"encoding/base64"
	"encoding/binary"
	"unicode/utf16"
)

// encoded is a command as PowerShell takes it with -EncodedCommand.
func encoded(command string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(command)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return base64.StdEncoding.EncodeToString(b)
}
