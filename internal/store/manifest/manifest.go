// Package manifest is the list of what counts in a store's folder: from which
// log segment on, and which blocks. Whatever it does not name is left over
// from work that was not finished, and may be deleted.
//
// # Protocol
//
// The file MANIFEST is replaced whole: Commit writes MANIFEST.tmp, syncs it,
// renames it over MANIFEST, and syncs the folder. The rename is the commit
// point; everything the new manifest names must be durable before, and what
// only the old one named may be deleted after Commit returned nil.
//
// After an error of Commit the caller goes on with the old manifest, and a
// restart finds the old one or the new one. So until a Commit succeeds nothing
// is deleted that any of them names, and a block's number is never used again,
// even if the Commit that would have named it failed.
//
// The package has no state; one Commit at a time is the caller's duty. The
// format is in docs/format/manifest.md, the choice in docs/adr/0003-manifest.md.
package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"

	"github.com/otelscope/otelscope/internal/vfs"
)

const (
	name    = "MANIFEST"
	tmpName = "MANIFEST.tmp"
	format  = 1

	// maxBytes bounds what Load reads; it is some 500,000 blocks.
	maxBytes = 128 << 20
)

// Manifest is the state of a store's folder.
type Manifest struct {
	// FirstSegment is the oldest log segment that is not in blocks; 0 means
	// that the log was never cut.
	FirstSegment uint64 `json:"first_segment"`
	// NextBlock is higher than every block number that was ever committed; at
	// least 1.
	NextBlock uint64 `json:"next_block"`
	// Blocks are the blocks that count, in the caller's order.
	Blocks []Block `json:"blocks"`
}

// Block describes one immutable block. Times are nanoseconds since the epoch.
type Block struct {
	Number      uint64 `json:"number"`
	Level       int    `json:"level"` // how often its rows were compacted
	Rows        int64  `json:"rows"`
	Bytes       int64  `json:"bytes"` // of all its files
	ReceivedMin int64  `json:"received_min"`
	ReceivedMax int64  `json:"received_max"`
	StartMin    uint64 `json:"start_min"` // of the spans' start times
	StartMax    uint64 `json:"start_max"`
	Files       []File `json:"files"`
}

// File is one of a block's files.
type File struct {
	Name  string `json:"name"` // without a folder
	Bytes int64  `json:"bytes"`
}

// DamagedError says that the folder's manifest cannot be used. Blocks and log
// are as they were; nothing may be deleted on such a manifest's word.
type DamagedError struct {
	File   string
	Reason string
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("manifest %q is damaged: %s", e.File, e.Reason)
}

// envelope is the file. The checksum is over the manifest's JSON without
// insignificant white space, so that the file can be indented for people.
type envelope struct {
	Format   int             `json:"format"`
	CRC32C   string          `json:"crc32c"`
	Manifest json.RawMessage `json:"manifest"`
}

// Load reads the folder's manifest. found is false, and the manifest that of a
// new store, if there is none. The error is a *DamagedError or that of fsys.
func Load(fsys vfs.FS, dir string) (m Manifest, found bool, err error) {
	path := filepath.Join(dir, name)
	data, err := vfs.ReadFile(fsys, path, maxBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return Manifest{NextBlock: 1}, false, nil
	}
	if err != nil {
		return Manifest{}, false, fmt.Errorf("load manifest: %w", err)
	}
	m, err = decode(data)
	if err != nil {
		return Manifest{}, false, &DamagedError{File: path, Reason: err.Error()}
	}
	return m, true, nil
}

// Commit makes m the folder's manifest, durably. See the package comment for
// what an error means. m is not kept.
func Commit(fsys vfs.FS, dir string, m Manifest) error {
	data, err := encode(m)
	if err != nil {
		return fmt.Errorf("commit manifest: %w", err)
	}
	tmp := filepath.Join(dir, tmpName)
	if err := write(fsys, tmp, data); err != nil {
		return fmt.Errorf("commit manifest: %w", err)
	}
	if err := fsys.Rename(tmp, filepath.Join(dir, name)); err != nil {
		return fmt.Errorf("commit manifest: %w", err)
	}
	if err := fsys.SyncDir(dir); err != nil {
		return fmt.Errorf("commit manifest: %w", err)
	}
	return nil
}

// write makes a durable file, or removes what it made of it.
func write(fsys vfs.FS, path string, data []byte) error {
	f, err := fsys.Create(path)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, fsys.Remove(path))
	}
	return nil
}

func encode(m Manifest) ([]byte, error) {
	if err := m.validate(); err != nil {
		return nil, err
	}
	if m.Blocks == nil {
		m.Blocks = []Block{}
	}
	content, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(envelope{Format: format, CRC32C: checksum(content), Manifest: content}, "", " ")
	if err != nil {
		return nil, err
	}
	return append(data, '\n'), nil
}

func decode(data []byte) (Manifest, error) {
	var e envelope
	if err := strict(data, &e); err != nil {
		return Manifest{}, err
	}
	if e.Format != format {
		return Manifest{}, fmt.Errorf("format is %d, only %d is known", e.Format, format)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, e.Manifest); err != nil {
		return Manifest{}, err
	}
	if sum := checksum(compact.Bytes()); sum != e.CRC32C {
		return Manifest{}, fmt.Errorf("crc32c is %q, the content has %q", e.CRC32C, sum)
	}
	var m Manifest
	if err := strict(e.Manifest, &m); err != nil {
		return Manifest{}, err
	}
	return m, m.validate()
}

// strict decodes one JSON value that fills data and has no unknown keys.
func strict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if rest := bytes.TrimSpace(data[d.InputOffset():]); len(rest) > 0 {
		return fmt.Errorf("%d bytes follow the JSON value", len(rest))
	}
	return nil
}

func checksum(content []byte) string {
	return fmt.Sprintf("%08x", crc32.Checksum(content, crc32.MakeTable(crc32.Castagnoli)))
}

// validate checks what no caller may write and no file should hold.
func (m Manifest) validate() error {
	if m.NextBlock == 0 {
		return errors.New("next_block is 0, at least 1 is allowed")
	}
	seen := make(map[uint64]bool, len(m.Blocks))
	for _, b := range m.Blocks {
		if b.Number == 0 || b.Number >= m.NextBlock {
			return fmt.Errorf("block number is %d, allowed are 1 to next_block - 1 = %d", b.Number, m.NextBlock-1)
		}
		if seen[b.Number] {
			return fmt.Errorf("block %d is listed twice", b.Number)
		}
		seen[b.Number] = true
		if err := b.validate(); err != nil {
			return fmt.Errorf("block %d: %w", b.Number, err)
		}
	}
	return nil
}

func (b Block) validate() error {
	switch {
	case b.Level < 0, b.Rows < 0, b.Bytes < 0:
		return fmt.Errorf("level is %d, rows is %d, bytes is %d, none may be negative", b.Level, b.Rows, b.Bytes)
	case b.ReceivedMin > b.ReceivedMax:
		return fmt.Errorf("received_min is %d, at most received_max = %d is allowed", b.ReceivedMin, b.ReceivedMax)
	case b.StartMin > b.StartMax:
		return fmt.Errorf("start_min is %d, at most start_max = %d is allowed", b.StartMin, b.StartMax)
	}
	for _, f := range b.Files {
		if f.Bytes < 0 {
			return fmt.Errorf("file %q has %d bytes, none may be negative", f.Name, f.Bytes)
		}
		if f.Name == "" || f.Name == "." || f.Name == ".." || f.Name != filepath.Base(f.Name) {
			return fmt.Errorf("file name is %q, it must be a name without a folder", f.Name)
		}
	}
	return nil
}
