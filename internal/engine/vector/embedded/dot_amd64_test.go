package embedded

import (
	"math"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/cpu"
)

func TestDotOfEveryProcessor(t *testing.T) {
	kernels := map[string]func(*int8, *int16, int) int32{}
	if cpu.X86.HasAVX2 {
		kernels["AVX2"] = dotAVX2
	}
	if cpu.X86.HasAVX512VNNI && cpu.X86.HasAVX512BW {
		kernels["AVX-512 VNNI"] = dotVNNI
	}
	if len(kernels) == 0 {
		t.Skip("this processor has none of the instructions")
	}
	r := rand.New(rand.NewPCG(1, 2))
	for n := lane; n <= 4096; n += lane {
		limit := min(math.MaxInt16, math.MaxInt32/(maxCode*n))
		codes, query := make([]int8, n), make([]int16, n)
		for round := range 4 {
			for i := range codes {
				switch round {
				case 0: // the largest sum there is
					codes[i], query[i] = maxCode, int16(limit)
				case 1:
					codes[i], query[i] = -maxCode, int16(limit)
				default:
					codes[i], query[i] = int8(r.IntN(2*maxCode+1)-maxCode), int16(r.IntN(2*limit+1)-limit)
				}
			}
			want := dotPlain(codes, query)
			for name, kernel := range kernels {
				if got := kernel(&codes[0], &query[0], n); got != want {
					t.Fatalf("%s of %d codes is %d, want %d", name, n, got, want)
				}
			}
		}
	}
}
