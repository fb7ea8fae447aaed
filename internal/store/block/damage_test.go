package block

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/store/field"
	"github.com/otelscope/otelscope/internal/vfs"
	"github.com/otelscope/otelscope/internal/vfs/memfs"
)

var errFault = errors.New("the disk says no")

// TestFailuresLeaveNothing fails every operation of a write in turn.
func TestFailuresLeaveNothing(t *testing.T) {
	rows := realistic(t, 300)
	fsys := memfs.New()
	require.NoError(t, fsys.MkdirAll("blocks"))
	w := NewWriter(fsys, "blocks")
	for n := 1; ; n++ {
		calls := 0
		fsys.SetHook(func(op memfs.Op, _ string) error {
			if op == memfs.OpRemove {
				return nil
			}
			if calls++; calls == n {
				return errFault
			}
			return nil
		})
		_, err := w.Write(7, rows)
		fsys.SetHook(nil)
		names, _ := fsys.ReadDir("blocks")
		require.Empty(t, fsys.OpenFiles())
		if calls < n {
			require.NoError(t, err)
			require.Len(t, names, 2)
			require.Greater(t, n, 12, "operations")
			break
		}
		require.ErrorIs(t, err, errFault, n)
		require.Empty(t, names, n)
	}
	b := open(t, fsys)
	require.Equal(t, sorted(rows), collect(t, b.Scan(context.Background())))
}

func TestNoSpace(t *testing.T) {
	rows := realistic(t, 300)
	fsys := memfs.New()
	require.NoError(t, fsys.MkdirAll("blocks"))
	fsys.SetCapacity(20_000)
	_, err := NewWriter(fsys, "blocks").Write(7, rows)
	require.True(t, vfs.IsNoSpace(err), err)
	names, err := fsys.ReadDir("blocks")
	require.NoError(t, err)
	require.Empty(t, names)
}

func TestFailedRemovalIsReported(t *testing.T) {
	fsys := memfs.New()
	require.NoError(t, fsys.MkdirAll("blocks"))
	errRemove := errors.New("cannot remove")
	fsys.SetHook(func(op memfs.Op, _ string) error {
		switch op {
		case memfs.OpSyncDir:
			return errFault
		case memfs.OpRemove:
			return errRemove
		}
		return nil
	})
	_, err := NewWriter(fsys, "blocks").Write(7, realistic(t, 3))
	require.ErrorIs(t, err, errFault)
	require.ErrorIs(t, err, errRemove)
}

// TestCrashAfterWrite loses the power at once when Write has returned.
func TestCrashAfterWrite(t *testing.T) {
	rows := realistic(t, 300)
	fsys, _ := write(t, rows)
	require.NoError(t, fsys.SyncDir("."))
	for seed := range uint64(20) {
		after := fsys.(*memfs.FS).Crash(rand.New(rand.NewPCG(seed, 0)))
		b := open(t, after)
		require.Equal(t, sorted(rows), collect(t, b.Scan(context.Background())))
	}
}

func TestRowsThatAreNoSpans(t *testing.T) {
	fsys := memfs.New()
	require.NoError(t, fsys.MkdirAll("blocks"))
	w := NewWriter(fsys, "blocks")
	good := realistic(t, 1)[0]
	nested := func(num byte, b ...byte) []byte { return append([]byte{num<<3 | 2, byte(len(b))}, b...) }
	bad := []byte{0x0a, 0x05}
	for name, row := range map[string]Row{
		"span":            {good.Origin, bad},
		"origin":          {bad, good.Span},
		"resource":        {nested(1, bad...), good.Span},
		"attribute":       {nested(1, nested(1, nested(2, bad...)...)...), good.Span},
		"scope":           {nested(2, nested(1, bad...)...), good.Span},
		"span attribute":  {good.Origin, nested(9, nested(2, bad...)...)},
		"event":           {good.Origin, nested(11, bad...)},
		"event's field":   {good.Origin, nested(11, 0x09, 1)},
		"event attribute": {good.Origin, nested(11, nested(3, bad...)...)},
		"event's value":   {good.Origin, nested(11, nested(3, nested(2, bad...)...)...)},
		"event's tag":     {good.Origin, nested(11, 0xff)},
		"link":            {good.Origin, nested(13, bad...)},
		"link's value":    {good.Origin, nested(13, nested(4, nested(2, bad...)...)...)},
	} {
		_, err := w.Write(7, []Row{good, row, good})
		require.Error(t, err, name)
		names, err := fsys.ReadDir("blocks")
		require.NoError(t, err)
		require.Empty(t, names, name)
	}
	_, err := w.Write(7, []Row{good})
	require.NoError(t, err)
	require.Equal(t, []Row{good}, collect(t, open(t, fsys).Scan(context.Background())))
}

func TestTooManyRows(t *testing.T) {
	fsys := memfs.New()
	require.NoError(t, fsys.MkdirAll("blocks"))
	_, err := NewWriter(fsys, "blocks").Write(7, make([]Row, MaxRows+1))
	require.ErrorContains(t, err, "write block 7: 16777217 rows, at most 16777216 are allowed")
}

// readEverything asks a block all there is to ask, and returns the first error.
func readEverything(fsys vfs.FS, rows []Row) (err error) {
	b, err := NewSet(fsys, "blocks").Open(7)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	for _, err := range b.Scan(context.Background()) {
		if err != nil {
			return err
		}
	}
	for _, r := range rows {
		h := headOf(r.Span)
		if _, err := traceOf(b, h.trace); err != nil {
			return err
		}
		if _, err := b.Span(h.trace, h.span); err != nil {
			return err
		}
		if _, err := b.Event(h.span.String()); err != nil {
			return err
		}
		if err := readEdges(b, r.Span); err != nil {
			return err
		}
	}
	return readSearch(b, rows)
}

// readEdges asks for the spans that a span names, and for its group.
func readEdges(b *Block, span []byte) error {
	refs, group := edgesOf(span)
	for _, find := range []func() ([]uint32, error){
		func() ([]uint32, error) { return b.Find(context.Background(), b.set.Spans(refs)) },
		func() ([]uint32, error) { return b.Find(context.Background(), b.set.Referring(refs)) },
		func() ([]uint32, error) { return b.Find(context.Background(), b.set.Linking(refs)) },
		func() ([]uint32, error) { return b.Find(context.Background(), b.set.Causing(refs)) },
		func() ([]uint32, error) { return b.Find(context.Background(), b.set.Correlation(group)) },
	} {
		numbers, err := find()
		if err != nil {
			return err
		}
		if _, err := b.Rows(numbers); err != nil {
			return err
		}
	}
	return nil
}

// overwrite replaces a file of the block.
func overwrite(tb testing.TB, fsys vfs.FS, name string, data []byte) {
	f, err := fsys.Create("blocks/" + name)
	require.NoError(tb, err)
	_, err = f.WriteAt(data, 0)
	require.NoError(tb, err)
	require.NoError(tb, f.Close())
}

func contents(tb testing.TB, fsys vfs.FS, name string) []byte {
	data, err := vfs.ReadFile(fsys, "blocks/"+name, 1<<30)
	require.NoError(tb, err)
	return data
}

// requireDamage asserts an error that says which file is damaged.
func requireDamage(t *testing.T, err error, name string, what any) {
	var corrupt *CorruptError
	require.ErrorAs(t, err, &corrupt, what)
	require.Equal(t, "blocks/"+name, corrupt.File, what)
	require.ErrorContains(t, err, fmt.Sprintf("block file %q is damaged: ", "blocks/"+name))
}

// TestEveryFlippedByteOfIDsIsFound: but for the reserved bytes of the header
// every byte is covered by a checksum that reading everything looks at.
func TestEveryFlippedByteOfIDsIsFound(t *testing.T) {
	rows := linked(t, 8)
	fsys, _ := write(t, rows)
	name := IDsName(7)
	good := contents(t, fsys, name)
	for i := range good {
		if i >= 12 && i < headerSize {
			continue
		}
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		overwrite(t, fsys, name, bad)
		requireDamage(t, readEverything(fsys, rows), name, i)
	}
}

func TestTruncatedFiles(t *testing.T) {
	rows := linked(t, 50)
	fsys, meta := write(t, rows)
	for _, name := range []string{IDsName(7), ParquetName(7)} {
		good := contents(t, fsys, name)
		for n := 0; n < len(good); n += 1 + n/20 {
			overwrite(t, fsys, name, good[:n])
			requireDamage(t, readEverything(fsys, rows), name, n)
		}
		overwrite(t, fsys, name, append(bytes.Clone(good), 0))
		requireDamage(t, readEverything(fsys, rows), name, "one byte more")
		overwrite(t, fsys, name, good)
		require.NoError(t, readEverything(fsys, rows))
	}
	require.EqualValues(t, 50, meta.Rows)
}

// TestFlippedBytesOfSpanPages are found; what other columns hold, only other
// engines read.
func TestFlippedBytesOfSpanPages(t *testing.T) {
	rows := realistic(t, 100)
	fsys, _ := write(t, rows)
	b := open(t, fsys)
	name := ParquetName(7)
	good := contents(t, fsys, name)
	for _, p := range b.ids.pages {
		for i := p.Offset + int64(p.Size)/2; i < p.Offset+int64(p.Size); i += 97 {
			bad := bytes.Clone(good)
			bad[i] ^= 1
			overwrite(t, fsys, name, bad)
			requireDamage(t, readEverything(fsys, rows), name, i)
		}
		bad := bytes.Clone(good) // the page's header
		copy(bad[p.Offset:], "\xff\xff\xff")
		overwrite(t, fsys, name, bad)
		requireDamage(t, readEverything(fsys, rows), name, p)
	}
}

func TestPageWithOtherRows(t *testing.T) {
	rows := realistic(t, 100)
	fsys, _ := write(t, rows)
	b := open(t, fsys)
	b.ids.pages = b.ids.pages[:1]
	_, err := traceOf(b, headOf(rows[0].Span).trace)
	requireDamage(t, err, ParquetName(7), "rows")
}

func TestReadErrors(t *testing.T) {
	rows := linked(t, 50)
	fsys, _ := write(t, rows)
	m := fsys.(*memfs.FS)
	for n := 1; ; n++ {
		calls := 0
		m.SetHook(func(memfs.Op, string) error {
			if calls++; calls == n {
				return errFault
			}
			return nil
		})
		err := readEverything(fsys, rows[:3])
		m.SetHook(nil)
		require.Empty(t, m.OpenFiles())
		if calls < n {
			require.NoError(t, err)
			return
		}
		require.ErrorIs(t, err, errFault, n)
	}
}

// rebuilt is an .ids file with the sections of another after a change.
func rebuilt(tb testing.TB, data []byte, change func(sections map[string][]byte)) []byte {
	f := &ids{file: bytes.NewReader(data)}
	require.NoError(tb, f.readContents(int64(len(data))))
	sections := map[string][]byte{}
	for name, s := range f.toc {
		sections[name] = bytes.Clone(data[s.offset : s.offset+s.length])
	}
	change(sections)
	var out bytes.Buffer
	w := newIDsWriter()
	w.reset(&out)
	w.write(sections[sectionOrigins])
	delete(sections, sectionOrigins)
	for name, b := range sections {
		w.begin(name)
		w.write(b)
	}
	w.contents()
	require.NoError(tb, w.out.Flush())
	return out.Bytes()
}

// TestImpossibleSections have right checksums and wrong contents.
func TestImpossibleSections(t *testing.T) {
	rows := linked(t, 2000)
	fsys, _ := write(t, rows)
	name := IDsName(7)
	good := contents(t, fsys, name)
	for what, c := range map[string]struct {
		section string
		change  func(b []byte) []byte
		want    string
	}{
		"missing meta":      {sectionMeta, nil, `section "meta" is missing`},
		"missing run":       {sectionEvent, nil, `section "event" is missing`},
		"missing first":     {sectionSpan + suffixFirst, nil, `section "span.first" is missing`},
		"missing sums":      {sectionSpan + suffixSums, nil, `section "span.sums" is missing`},
		"missing filter":    {sectionFilter, nil, `section "filter" is missing`},
		"missing pages":     {sectionPages, nil, `section "pages" is missing`},
		"missing origins":   {sectionRows, nil, `section "rows" is missing`},
		"short meta":        {sectionMeta, func(b []byte) []byte { return b[:24] }, `section "meta" has 24 bytes`},
		"rows":              {sectionMeta, func(b []byte) []byte { b[0]++; return b }, "do not have the 2001 rows"},
		"too many rows":     {sectionMeta, func(b []byte) []byte { b[7]++; return b }, "rows, at most 16777216 are allowed"},
		"empty filter":      {sectionFilter, func(b []byte) []byte { return nil }, `section "filter" is empty`},
		"odd filter":        {sectionFilter, func(b []byte) []byte { return b[1:] }, "not a multiple of 32"},
		"no pages":          {sectionPages, func(b []byte) []byte { return nil }, `section "pages" is empty`},
		"odd pages":         {sectionPages, func(b []byte) []byte { return b[1:] }, "not a multiple of 16"},
		"late first page":   {sectionPages, func(b []byte) []byte { return b[16:] }, "impossible page 0"},
		"page beyond":       {sectionPages, func(b []byte) []byte { b[16+4] = 1; return b }, "impossible page 1"},
		"page without rows": {sectionPages, func(b []byte) []byte { copy(b[28:32], b[12:16]); return b }, "impossible page 1"},
		"sums":              {sectionSpan + suffixSums, func(b []byte) []byte { return b[4:] }, `section "span.sums" has 12 bytes`},
		"first":             {sectionSpan + suffixFirst, func(b []byte) []byte { return b[8:] }, `section "span.first" has 24 bytes`},
		"first unsorted": {sectionSpan + suffixFirst, func(b []byte) []byte {
			binary.LittleEndian.PutUint64(b, 1<<63)
			binary.LittleEndian.PutUint64(b[8:], 0)
			return b
		}, `section "span.first" is not sorted`},
		"missing later first": {sectionReferring + suffixFirst, nil, `section "referring.first" is missing`},
		"missing later sums":  {sectionCorrelation + suffixSums, nil, `section "correlation.sums" is missing`},
		"odd later run":       {sectionReferring, func(b []byte) []byte { return b[1:] }, `section "referring" has`},
		"later row beyond": {sectionCorrelation, func(b []byte) []byte {
			for i := 0; i < len(b); i += 8 {
				b[i], b[i+1], b[i+2] = 0xff, 0xff, 0xff
			}
			return b
		}, "there is no row 16777215"},
		"origin's place": {sectionOrigins, func(b []byte) []byte { return nil }, `section "origins" has no origin at 0`},
		"origin's size":  {sectionOrigins, func(b []byte) []byte { b[3] = 1; return b }, `section "origins" has an impossible origin at 0`},
		"row beyond": {sectionTrace, func(b []byte) []byte {
			for i := 0; i < len(b); i += 8 {
				b[i], b[i+1], b[i+2] = 0xff, 0xff, 0xff
			}
			return b
		}, "there is no row 16777215"},
	} {
		t.Run(what, func(t *testing.T) {
			overwrite(t, fsys, name, rebuilt(t, good, func(s map[string][]byte) {
				if c.change == nil {
					delete(s, c.section)
					return
				}
				s[c.section] = c.change(s[c.section])
				if _, ok := s[c.section+suffixSums]; ok {
					s[c.section+suffixSums] = sumsOf(s[c.section])
				}
			}))
			err := readEverything(fsys, rows)
			requireDamage(t, err, name, what)
			require.ErrorContains(t, err, c.want)
		})
	}
	overwrite(t, fsys, name, rebuilt(t, good, func(s map[string][]byte) { s["edges"] = []byte("of a later version") }))
	require.NoError(t, readEverything(fsys, rows))
}

func sumsOf(b []byte) (sums []byte) {
	for ; len(b) > 0; b = b[min(granule, len(b)):] {
		sums = binary.LittleEndian.AppendUint32(sums, crc32.Checksum(b[:min(granule, len(b))], castagnoli))
	}
	return sums
}

func TestVersionAndContents(t *testing.T) {
	fsys, _ := write(t, realistic(t, 3))
	good := contents(t, fsys, IDsName(7))
	foot := len(good) - footerSize
	for want, change := range map[string]func(b []byte){
		"file has format version 2, this program reads version 1": func(b []byte) { b[8] = 2 },
		"does not begin and end as an .ids file does":             func(b []byte) { b[len(b)-1] = 0 },
		"does not end where the footer begins":                    func(b []byte) { b[foot]++ },
		"table of contents has a wrong checksum":                  func(b []byte) { b[foot-1]++ },
	} {
		bad := bytes.Clone(good)
		change(bad)
		_, err := readIDs(bytes.NewReader(bad), int64(len(bad)))
		require.ErrorContains(t, err, want)
	}
	require.ErrorContains(t, (&ids{}).parseContents([]byte{5, 'a'}, 10), "ends early")
	line := append([]byte{1, 'a'}, bytes.Repeat([]byte{1}, 20)...)
	require.ErrorContains(t, (&ids{}).parseContents(line, 10), `section "a" lies outside the file`)
}

func FuzzIDs(f *testing.F) {
	rows := linked(f, 30)
	fsys, _ := write(f, rows)
	good := contents(f, fsys, IDsName(7))
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte(idsMagic + strings.Repeat("\x00", 24) + idsMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := readIDs(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		if filter, err := x.filter(); err == nil {
			var all filters
			_ = all.has(all.add(filter), 1)
		}
		for i := range byte(10) {
			_, _ = x.trace.find(nil, traceFingerprint(pcommon.TraceID{i}), &cursor{})
			_, _ = x.origin(uint32(i) * 100)
		}
		for _, r := range rows {
			refs, group := edgesOf(r.Span)
			_, _ = x.referring.find(nil, refFingerprint(refs[0]), &cursor{})
			_, _ = x.search.attributes.find(nil, fingerprint(field.Text([]byte("GET")).Hash(field.Field{Key: "http.request.method"}.Hash()))&^rowMask, &cursor{})
			_, _ = x.leading.find(nil, leadingFingerprint(refs[0]), &cursor{})
			_, _ = x.correlation.find(nil, correlationFingerprint(group), &cursor{})
			_, _ = x.span.find(nil, spanFingerprint(headOf(r.Span).trace, headOf(r.Span).span), &cursor{})
		}
	})
}
