package vault

import (
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// A DATA record may be packed before it is sealed: one zstd frame (RFC 8878) that says how long its content is. It is
// kept only where it saves a whole block, so that a disk full of photographs costs nothing to read back.
const saving = blockSize

// worthIt tells whether packing n bytes into packed saves enough.
func worthIt(packed, n int) bool { return storedSize(packed)+saving <= storedSize(n) }

// A packer packs records, several at once.
type packer struct{ enc *zstd.Encoder }

func newPacker(workers int) (*packer, error) {
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(workers), zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(MaxRecord), zstd.WithSingleSegment(true),
		zstd.WithEncoderCRC(false)) // the tag is a better checksum
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	return &packer{enc}, nil
}

// pack packs plain, in room where that is large enough, and tells whether it was worth it. What it returns is the room
// for the next call either way.
func (p *packer) pack(plain, room []byte) ([]byte, bool) {
	out := p.enc.EncodeAll(plain, room[:0])
	return out, len(out) > 0 && worthIt(len(out), len(plain))
}

// An unpacker is the inverse. It gives nothing but exactly the length that the authenticated header promises, and takes
// no memory that a frame asks for beyond it.
type unpacker struct{ dec *zstd.Decoder }

func newUnpacker() (*unpacker, error) {
	dec, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(0), zstd.WithDecoderLowmem(true), zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderMaxWindow(MaxRecord), zstd.WithDecoderMaxMemory(MaxRecord))
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	return &unpacker{dec}, nil
}

var errPacked = errors.New("not one zstd frame of the promised length")

// unpack unpacks one frame of exactly n bytes.
func (u *unpacker) unpack(packed []byte, n int) ([]byte, error) {
	var h zstd.Header
	if err := h.Decode(packed); err != nil {
		return nil, fmt.Errorf("%w: %w", errPacked, err)
	}
	if h.Skippable || h.DictionaryID != 0 || h.HasCheckSum || !h.HasFCS || n < 0 || h.FrameContentSize != uint64(n) || !oneFrame(packed[h.HeaderSize:]) {
		return nil, errPacked
	}
	out, err := u.dec.DecodeAll(packed, make([]byte, 0, n))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errPacked, err)
	}
	if len(out) != n {
		return nil, errPacked
	}
	return out, nil
}

// oneFrame tells whether the blocks of a frame end where the bytes do: nothing hides behind it.
func oneFrame(blocks []byte) bool {
	const head, repeated = 3, 1
	for len(blocks) >= head {
		h := int(blocks[0]) | int(blocks[1])<<8 | int(blocks[2])<<16
		size := h >> 3
		if h>>1&3 == repeated {
			size = 1
		}
		if blocks = blocks[head:]; size > len(blocks) {
			return false
		}
		if blocks = blocks[size:]; h&1 == 1 {
			return len(blocks) == 0
		}
	}
	return false
}
