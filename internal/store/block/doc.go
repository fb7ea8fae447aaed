// Package block keeps spans in immutable blocks. A block is two files:
//
//	0000000000000007.parquet   the rows: a table that other engines read, and
//	                           each span's exact OTLP bytes
//	0000000000000007.ids       what finds rows: sorted runs of id fingerprints,
//	                           a filter over them, where the spans' pages are
//
// docs/format/block.md describes both, docs/adr/0004-block-layout.md says why
// they are as they are.
//
// # Protocol
//
// Writer.Write sorts rows by start time and writes both files under temporary
// names, syncs them, renames them, the .ids first, and syncs the folder. It
// leaves a complete block or, on an error, nothing; after a crash temporary
// files or a block that nobody knows of may be left. Which blocks count is for
// the caller to record afterwards, and what he did not record he removes.
//
// # Reading
//
// Beside the ids that a span has there are runs of the spans that it names, as
// its parent or in links, and of its correlation id. Blocks from before there
// were these two are read whole instead. What is named in links alone has one
// more.
//
// Blocks are opened in a Set, which has their filters side by side: one look
// says of an id which of up to 64 blocks may have it. There it is looked for in
// its run, a binary search in memory and one read of 4 KiB; then each row is
// read from its page of 8 KiB and compared with the id, since fingerprints may
// be shared. The pages that were read last stay decoded, some 8 MiB of all
// blocks together. In memory an open block has its filter, 12 bytes for 4 KiB of
// runs and 16 for a page: about 6 bytes a row.
//
// Searches by what spans say go by zones of 256 rows: in memory is between what
// times a zone's rows began and how long they lasted, and which fields there
// are; a run in the file leads from a value to the zones that have it, and
// lists of values are read when they are asked for.
//
// # Ownership
//
// The package starts no goroutine and keeps no global state. A Writer belongs
// to one goroutine. A Block may be used by many until it is closed; it keeps
// its files open, so that Remove takes nothing from its readers.
package block
