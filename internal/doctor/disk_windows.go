package doctor

import "golang.org/x/sys/windows"

// permissionsMatter says that files have owner, group and others.
const permissionsMatter = false

// FreeBytes is the space that this user may still fill on the volume of dir.
func FreeBytes(dir string) (int64, error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return 0, err
	}
	return int64(free), nil
}

// Alive reports whether a process exists.
func Alive(pid int) bool {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(pid))
	if err != nil {
		return false
	}
	return windows.CloseHandle(h) == nil
}
