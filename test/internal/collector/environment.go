package collector

import (
	"debug/buildinfo"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Environment is what numbers depend on.
type Environment struct {
	CPU        string `json:"cpu"`
	Cores      int    `json:"cores"`
	MemoryMB   int64  `json:"memory_mb"`
	Kernel     string `json:"kernel"`
	FileSystem string `json:"file_system"`
	Go         string `json:"go"` // that the binary was built with
	GOGC       string `json:"gogc"`
	GOMEMLIMIT string `json:"gomemlimit"`
}

// Describe says what a run of binary depends on whose stores lie below dir.
func Describe(binary, dir, gogc, memlimit string) Environment {
	e := Environment{Cores: runtime.NumCPU(), Go: runtime.Version(), GOGC: gogc, GOMEMLIMIT: memlimit}
	if info, err := buildinfo.ReadFile(binary); err == nil {
		e.Go = info.GoVersion
	}
	if cpuinfo, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		e.CPU = field(string(cpuinfo), "model name")
	}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		e.Kernel = unix.ByteSliceToString(name.Sysname[:]) + " " + unix.ByteSliceToString(name.Release[:])
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		e.MemoryMB = int64(info.Totalram) * int64(info.Unit) >> 20
	}
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) == nil {
		e.FileSystem = fileSystem(int64(fs.Type))
	}
	return e
}

// BusyLoad is the load average from which on others get in the way.
const BusyLoad = 0.5

// Load1 is how many threads wanted to run in the last minute; 0 if unknown.
func Load1() float64 {
	body, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(body), " ")
	value, _ := strconv.ParseFloat(first, 64)
	return value
}

// field finds "name : value" and returns the value.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func fileSystem(magic int64) string {
	switch magic {
	case unix.TMPFS_MAGIC:
		return "tmpfs"
	case unix.EXT4_SUPER_MAGIC:
		return "ext4"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlayfs"
	}
	return "other"
}

// Command is how to measure again with a program of this repository.
func Command(program string) string {
	return strings.TrimSpace("go run " + program + " " + strings.Join(os.Args[1:], " "))
}
