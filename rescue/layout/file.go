package layout

// File is a file of a volume, as far as its metadata is rescued.
type File struct {
	// Path is from the volume's root, with "/" between names and none in front. What
	// cannot be spelled is replaced by U+FFFD; a parent that is not rescued is "?".
	// A named stream of NTFS follows its file's name and a colon.
	Path string
	// Size is the length of the content in bytes.
	Size int64
	// Pieces say where the content lies, in the order of the file. What was never
	// written is left out. They cover whole clusters, so the last may go beyond Size.
	Pieces []Piece
	// Valid is how many of the Size bytes were ever written; behind it all is zero.
	Valid int64
	// Packed says that the content is stored compressed: a piece's Off and Len then
	// tell nothing about which bytes of the content lie in it.
	Packed bool
	// Lost is how many bytes of content there are whose place is unknown, because the
	// metadata that would tell is not rescued.
	Lost int64
	Dir  bool // a folder; its pieces are what lists its content
	// System marks the file system's own: $MFT, the journal.
	System bool

	nodes []Extent // metadata that places the pieces; in bytes of the volume
}

// Piece is a part of a file's content that lies in one place.
type Piece struct {
	Off   int64 // in the file
	First int64 // on the disk
	Len   int64
}

// Lost counts what a walk could not name.
type Lost struct {
	// Records are file records and directory blocks that are not rescued, or are
	// nonsense, and that may describe files which no one can list any more.
	Records int64
}

// fileSystem is what a parser makes of a volume. Extents are in bytes of the
// volume; they may overlap, and need not be in order.
type fileSystem interface {
	// name is the file system's, as mkfs spells it: "ntfs", "ext4".
	name() string
	// size is how many bytes of the volume it takes for itself, as it says.
	size() int64
	// survey tells what it knows of: add is called with T0, T1, T3, T4 or T5. Where
	// several tiers are told for a byte the lowest counts, and what nothing is told of
	// is free. False means that the allocation is not known at all.
	survey(add func(Extent, Tier)) bool
	// walk lists the files, with Pieces in bytes of the volume. It ends when yield
	// says false.
	walk(yield func(*File) bool) Lost
}
