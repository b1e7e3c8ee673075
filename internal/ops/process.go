package ops

import (
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
)

// RegisterProcess adds what is known about the process itself under the names that Prometheus'
// own libraries use. started is when the process began. What the system does not tell is left
// out.
func (r *Registry) RegisterProcess(started time.Time) {
	gauge := func(name, help string, value func() (float64, bool)) {
		r.Collect(name, help, Gauge, nil, func(emit func(Sample)) {
			if v, ok := value(); ok {
				emit(Sample{Value: v})
			}
		})
	}
	gauge("process_start_time_seconds", "When the process began, in seconds since 1970.", func() (float64, bool) {
		return float64(started.UnixMilli()) / 1000, true
	})
	gauge("process_resident_memory_bytes", "Memory of the process that is in RAM.", residentBytes)
	gauge("process_open_fds", "Open file descriptors.", openFiles)
	gauge("go_goroutines", "Goroutines that exist.", func() (float64, bool) { return float64(runtime.NumGoroutine()), true })
	gauge("go_memstats_heap_alloc_bytes", "Live and not yet swept objects of the heap.", runtimeValue("/memory/classes/heap/objects:bytes"))
	gauge("go_memstats_sys_bytes", "Memory that the Go runtime has from the system.", runtimeValue("/memory/classes/total:bytes"))
	r.Collect("process_cpu_seconds_total", "Processor time of user code and garbage collection, as the Go runtime estimates it.", Counter, nil,
		func(emit func(Sample)) {
			user, ok1 := runtimeValue("/cpu/classes/user:cpu-seconds")()
			gc, ok2 := runtimeValue("/cpu/classes/gc/total:cpu-seconds")()
			if ok1 && ok2 {
				emit(Sample{Value: user + gc})
			}
		})
}

func runtimeValue(name string) func() (float64, bool) {
	return func() (float64, bool) {
		s := []metrics.Sample{{Name: name}}
		metrics.Read(s)
		switch s[0].Value.Kind() {
		case metrics.KindUint64:
			return float64(s[0].Value.Uint64()), true
		case metrics.KindFloat64:
			return s[0].Value.Float64(), true
		default:
			return 0, false
		}
	}
}

// residentBytes reads the second field of /proc/self/statm, in pages.
func residentBytes() (float64, bool) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, false
	}
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseInt(f[1], 10, 64)
	return float64(pages) * float64(os.Getpagesize()), err == nil
}

func openFiles() (float64, bool) {
	list, err := os.ReadDir("/proc/self/fd")
	return float64(len(list)), err == nil
}
