//go:build !linux

package vfs

import "os"

// syncData on macOS is F_FULLFSYNC: Go's File.Sync asks for it there.
func syncData(f *os.File) error { return f.Sync() }

func preallocate(*os.File, int64) error { return nil }
