package embedded

import "golang.org/x/sys/cpu"

//go:noescape
func dotAVX2(codes *int8, query *int16, n int) int32

// dot is the scalar product of codes and a query of the same length, a positive multiple of lane.
func dot(codes []int8, query []int16) int32 {
	if cpu.X86.HasAVX2 && len(codes) == len(query) && len(codes) > 0 {
		return dotAVX2(&codes[0], &query[0], len(codes))
	}
	return dotPlain(codes, query)
}
