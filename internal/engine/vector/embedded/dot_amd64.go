package embedded

import "golang.org/x/sys/cpu"

//go:noescape
func dotAVX2(codes *int8, query *int16, n int) int32

//go:noescape
func dotVNNI(codes *int8, query *int16, n int) int32

// dot is the scalar product of codes and a query of the same length, a positive multiple of lane.
func dot(codes []int8, query []int16) int32 {
	switch {
	case len(codes) != len(query) || len(codes) == 0 || len(codes)%lane != 0:
		return dotPlain(codes, query)
	case cpu.X86.HasAVX512VNNI && cpu.X86.HasAVX512BW:
		return dotVNNI(&codes[0], &query[0], len(codes))
	case cpu.X86.HasAVX2:
		return dotAVX2(&codes[0], &query[0], len(codes))
	}
	return dotPlain(codes, query)
}
