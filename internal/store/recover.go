package store

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/otelscope/otelscope/internal/store/head"
	"github.com/otelscope/otelscope/internal/store/log"
	"github.com/otelscope/otelscope/internal/store/manifest"
	"github.com/otelscope/otelscope/internal/vfs"
)

// recovery brings a folder's contents into an engine that does not run yet.
type recovery struct {
	*engine
	fresh bool   // blocks were made that the manifest does not name yet
	first uint64 // the log segment in which the live head begins; 0 before the first frame
	at    uint64 // the segment of the last frame
	// carried are the open calls that the last cut put into the live head. What
	// later frames made of them counts for nothing: in the log they are only
	// where that cut found them.
	carried []*entry
	told    *Commit // gathers the frames of one group; nil for none
}

func (r *recovery) run() (err error) {
	begin := time.Now()
	if r.catalog, _, err = manifest.Load(r.cfg.FS, r.cfg.Directory); err != nil {
		return err
	}
	if err := r.clean(); err != nil {
		return err
	}
	if err := r.openBlocks(); err != nil {
		return err
	}
	r.tellBlocks(0)
	if err := r.replay(); err != nil {
		return err
	}
	if err := r.makeReserve(); err != nil && !vfs.IsNoSpace(err) {
		return err
	}
	r.figures.recoveryTime = time.Since(begin)
	r.cfg.Observe(Event{Kind: EventRecover, Spans: r.figures.recovered, Duration: r.figures.recoveryTime})
	return nil
}

// undo closes what run opened before it failed.
func (r *recovery) undo() {
	r.views.close()
	if r.log != nil {
		_ = r.log.Close() // what it holds is replayed the next time
	}
}

// clean deletes what the manifest does not name: blocks of cuts and merges
// that were not finished, and those that were dropped but not deleted.
func (r *recovery) clean() error {
	named := map[string]bool{}
	for _, b := range r.catalog.Blocks {
		for _, f := range b.Files {
			named[f.Name] = true
		}
	}
	names, err := r.cfg.FS.ReadDir(r.blocksDir())
	if err != nil {
		return err
	}
	for _, name := range names {
		if named[name] || !isBlockFile(name) {
			continue
		}
		if err := r.cfg.FS.Remove(filepath.Join(r.blocksDir(), name)); err != nil {
			return fmt.Errorf("delete a block that does not count: %w", err)
		}
	}
	return nil
}

// isBlockFile reports whether a name is one that the store gives, for a block
// or for what was to become one. Anything else in the folder is someone's own.
func isBlockFile(name string) bool {
	number, rest, found := strings.Cut(name, ".")
	rest = strings.TrimSuffix(rest, ".tmp")
	return found && len(number) == 16 && strings.Trim(number, "0123456789abcdef") == "" &&
		(rest == "parquet" || rest == "ids" || rest == "tmp")
}

func (r *recovery) openBlocks() error {
	v := &view{live: head.New(0), refs: 1}
	r.views.current = v
	for _, info := range r.catalog.Blocks {
		b, err := r.blocks.Open(info.Number)
		if err != nil {
			return fmt.Errorf("block %d: %w", info.Number, err)
		}
		v.blocks = append(v.blocks, &part{info: info, block: b, refs: 1})
		r.live.last = max(r.live.last, info.ReceivedMax) // arrivals never fall
	}
	return nil
}

// replay reads the log into the live head.
func (r *recovery) replay() (err error) {
	r.begin(nil)
	r.log, _, err = log.Open(log.Options{
		FS:           r.cfg.FS,
		Dir:          filepath.Join(r.cfg.Directory, "log"),
		First:        r.catalog.FirstSegment,
		SegmentBytes: r.cfg.CutBytes,
		Sync:         !r.cfg.NoSync,
	}, r.frame)
	if err != nil {
		return err
	}
	r.tell()
	if r.fresh {
		if err := r.commit(); err != nil {
			return err
		}
	}
	r.in.live = r.live.load()
	r.logFigures()
	return nil
}

// begin makes an empty live head, over what became of the one before.
func (r *recovery) begin(blocks []*part) {
	r.live = newLiveHead(head.New(0), r.live.last)
	r.views.swap(func(v *view) { v.blocks, v.live = append(v.blocks, blocks...), r.live.head })
}

// group returns the commit that a frame of that arrival belongs to.
func (r *recovery) group(received int64) *Commit {
	if r.told == nil || r.told.Received != received {
		r.tell()
		r.told = r.newCommit(&r.live, received)
	}
	return r.told
}

// tell tells the follower of the group that is complete.
func (r *recovery) tell() {
	r.told.tell()
	r.told = nil
}

// frame takes one frame of the log.
func (r *recovery) frame(f log.Frame) error {
	if f.Kind != frameWrite && f.Kind != frameCarry {
		return fmt.Errorf("log segment %d has a frame of kind %d, only %d and %d are known", f.Segment, f.Kind, frameWrite, frameCarry)
	}
	if r.at != f.Segment && r.big() {
		if err := r.cut(f.Segment); err != nil {
			return err
		}
	}
	r.at = f.Segment
	batch, err := head.Parse(f.Payload, 0)
	if err != nil {
		return fmt.Errorf("log segment %d: %w", f.Segment, err)
	}
	en := &entry{batch: batch, kind: f.Kind, received: f.Received}
	var changes *[]head.Change
	if f.Kind == frameWrite {
		changes = r.group(f.Received).noting()
	}
	added := r.live.insert(en, changes)
	r.live.last = max(r.live.last, f.Received)
	r.figures.recovered += int64(added)
	return nil
}

func (r *recovery) big() bool {
	held := r.live.load()
	return held.bytes >= r.cfg.CutBytes || held.spans >= int64(r.cfg.CutSpans)
}

// cut makes a block of the live head, so that a start needs no more memory
// than running does, and begins another head with the frames from segment on.
// The manifest learns of it at the end.
func (r *recovery) cut(segment uint64) error {
	// A block is older than what follows; whether an open call is the first
	// of its kind is known only when all its versions are in one head.
	r.tell()
	r.rotated()
	summary, err := r.summary()
	if err != nil {
		return err
	}
	p, err := r.planOf(r.live.head, r.live.resends, false)
	if err != nil {
		return err
	}
	fresh, err := r.writeBlocks(p, summary)
	if err != nil {
		for _, b := range fresh {
			_ = b.block.Close() // a start deletes it
		}
		return err
	}
	r.fresh, r.first = true, segment
	r.begin(fresh)
	r.tellBlocks(1)
	r.carried, err = carryBatches(p.carry)
	for _, en := range r.carried {
		r.live.insert(en, nil)
	}
	return err
}

// commit puts the open calls that earlier heads held into the newest segment,
// lets the new blocks count, and deletes the segments they replace.
func (r *recovery) commit() error {
	var frames []log.Frame
	for _, en := range r.carried {
		frames = append(frames, log.Frame{Kind: en.kind, Received: en.received, Payload: en.batch.Payload()})
	}
	if err := r.log.Append(frames...); err != nil {
		return fmt.Errorf("carry open calls over: %w", err)
	}
	blocks := make([]manifest.Block, len(r.views.current.blocks))
	for i, p := range r.views.current.blocks {
		blocks[i] = p.info
	}
	if err := r.commitManifest(blocks, r.first); err != nil {
		return err
	}
	return r.log.Remove(r.first)
}
