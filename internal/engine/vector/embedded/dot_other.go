//go:build !amd64

package embedded

// dot is the scalar product of codes and a query of the same length, a positive multiple of lane.
func dot(codes []int8, query []int16) int32 { return dotPlain(codes, query) }
