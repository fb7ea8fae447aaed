//go:build !(linux || darwin)

package vfs

import (
	"errors"
	"fmt"
	"io"
	"syscall"
)

var noSpace = []error{syscall.ENOSPC}

func syncDir(string) error { return unsupported("sync folders") }

// lock fails, and so the store does not start where its rules cannot be kept.
func lock(string) (io.Closer, error) { return nil, unsupported("lock folders") }

func free(string) (uint64, error) { return 0, unsupported("tell free space") }

func unsupported(what string) error {
	return fmt.Errorf("this system cannot %s: %w", what, errors.ErrUnsupported)
}
