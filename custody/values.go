package custody

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// The values in the public part of an event each have exactly one spelling.
// That is what lets an event be decoded and encoded to the same bytes, and so
// leaves no room to say one thing in two ways.

var errSpelling = errors.New("not in its one spelling")

// timeLayout is RFC 3339 in UTC with whole seconds.
const timeLayout = "2006-01-02T15:04:05Z"

// A Time is an instant in UTC with whole seconds, between the years 1970 and
// 9999. The zero Time stands for "not yet".
type Time struct{ time.Time }

// At cuts t down to whole seconds in UTC.
func At(t time.Time) Time { return Time{t.UTC().Truncate(time.Second)} }

// MarshalText writes the instant as "2006-01-02T15:04:05Z".
func (t Time) MarshalText() ([]byte, error) {
	if y := t.UTC().Year(); y < 1970 || y > 9999 {
		return nil, fmt.Errorf("time: year out of range: %w", errSpelling)
	}
	return t.UTC().AppendFormat(nil, timeLayout), nil
}

// UnmarshalText reads what MarshalText writes and nothing else.
func (t *Time) UnmarshalText(p []byte) error {
	v, err := time.Parse(timeLayout, string(p))
	if err != nil || v.Year() < 1970 || v.UTC().Format(timeLayout) != string(p) {
		return fmt.Errorf("time: %w", errSpelling)
	}
	t.Time = v.UTC()
	return nil
}

// MarshalJSON writes the instant as a JSON string.
func (t Time) MarshalJSON() ([]byte, error) {
	p, err := t.MarshalText()
	if err != nil {
		return nil, err
	}
	return strconv.AppendQuote(nil, string(p)), nil
}

// UnmarshalJSON reads what MarshalJSON writes and nothing else.
func (t *Time) UnmarshalJSON(p []byte) error {
	if len(p) < 2 || p[0] != '"' || p[len(p)-1] != '"' {
		return fmt.Errorf("time: %w", errSpelling)
	}
	return t.UnmarshalText(p[1 : len(p)-1])
}

// A Date is a day without time and zone, such as "2027-03-01".
type Date string

// DateOf returns the day that t is in the given zone.
func DateOf(t time.Time, zone *time.Location) Date {
	return Date(t.In(zone).Format(time.DateOnly))
}

// ParseDate reads a day strictly.
func ParseDate(s string) (Date, error) {
	if _, err := Date(s).Start(time.UTC); err != nil {
		return "", err
	}
	return Date(s), nil
}

// Start returns the first instant of the day in the given zone.
func (d Date) Start(zone *time.Location) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, string(d))
	if err != nil || t.Year() < 1970 {
		return time.Time{}, fmt.Errorf("date: %w", errSpelling)
	}
	return dayStart(t.Year(), t.Month(), t.Day(), zone), nil
}

// dayStart returns the first instant of a day. It is midnight, except where a
// zone puts its clock forward over midnight: there time.Date gives an instant
// of the evening before, and the day begins an hour later.
func dayStart(y int, m time.Month, d int, zone *time.Location) time.Time {
	t := time.Date(y, m, d, 0, 0, 0, 0, zone)
	for range 48 {
		if t.Day() == d {
			break
		}
		t = t.Add(30 * time.Minute)
	}
	return t.UTC()
}

func (d Date) valid() bool { _, err := d.Start(time.UTC); return err == nil }

// A Hash is a SHA-256, written as 64 lower-case hexadecimal digits. It
// converts to and from tlog.Hash.
type Hash tlog.Hash

// String returns the 64 hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// ParseHash reads 64 lower-case hexadecimal digits.
func ParseHash(s string) (Hash, error) {
	var h Hash
	return h, h.UnmarshalText([]byte(s))
}

// MarshalText writes 64 lower-case hexadecimal digits.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText reads 64 lower-case hexadecimal digits.
func (h *Hash) UnmarshalText(p []byte) error { return unhex(h[:], p) }

// IsZero reports whether the hash is not set.
func (h Hash) IsZero() bool { return h == Hash{} }

// A SessionID names one run of the program that wrote to an image; 32
// lower-case hexadecimal digits.
type SessionID [16]byte

// String returns the 32 hexadecimal digits.
func (s SessionID) String() string { return hex.EncodeToString(s[:]) }

// MarshalText writes 32 lower-case hexadecimal digits.
func (s SessionID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, s[:]), nil }

// UnmarshalText reads 32 lower-case hexadecimal digits.
func (s *SessionID) UnmarshalText(p []byte) error { return unhex(s[:], p) }

// IsZero reports whether the id is not set.
func (s SessionID) IsZero() bool { return s == SessionID{} }

// A UUID names an image, written in the usual five lower-case groups.
type UUID [16]byte

// String returns the five groups.
func (u UUID) String() string {
	h := hex.EncodeToString(u[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// MarshalText writes the five groups.
func (u UUID) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText reads the five groups.
func (u *UUID) UnmarshalText(p []byte) error {
	if err := unhex(u[:], bytes.ReplaceAll(p, []byte("-"), nil)); err != nil || u.String() != string(p) {
		return fmt.Errorf("uuid: %w", errSpelling)
	}
	return nil
}

// IsZero reports whether the UUID is not set.
func (u UUID) IsZero() bool { return u == UUID{} }

func unhex(dst, p []byte) error {
	if len(p) != 2*len(dst) || bytes.ContainsAny(p, "ABCDEF") {
		return fmt.Errorf("hexadecimal number: %w", errSpelling)
	}
	if _, err := hex.Decode(dst, p); err != nil {
		return fmt.Errorf("hexadecimal number: %w", errSpelling)
	}
	return nil
}

// A Ref names an event: the station that signed it and its place in that
// station's sequence, written "T1/7".
type Ref struct {
	Station string
	Seq     int64 // from 1
}

// String returns the reference as "T1/7".
func (r Ref) String() string { return r.Station + "/" + strconv.FormatInt(r.Seq, 10) }

// ParseRef reads what String writes and nothing else.
func ParseRef(s string) (Ref, error) {
	station, seq, _ := strings.Cut(s, "/")
	n, err := strconv.ParseInt(seq, 10, 64)
	r := Ref{station, n}
	if err != nil || n < 1 || !isStation(station) || r.String() != s {
		return Ref{}, fmt.Errorf("event reference: %w", ErrName)
	}
	return r, nil
}

// MarshalText writes the reference as "T1/7".
func (r Ref) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText writes and nothing else.
func (r *Ref) UnmarshalText(p []byte) error {
	v, err := ParseRef(string(p))
	*r = v
	return err
}

// compare orders references by station and place: the one order of lists.
func (r Ref) compare(o Ref) int {
	return cmp.Or(cmp.Compare(r.Station, o.Station), cmp.Compare(r.Seq, o.Seq))
}

// A Head is the size and root of another station's log as this station last
// saw it, written "912:<64 hexadecimal digits>".
type Head struct {
	Size int64
	Root Hash
}

// MarshalText writes size, colon and root.
func (h Head) MarshalText() ([]byte, error) {
	return []byte(strconv.FormatInt(h.Size, 10) + ":" + h.Root.String()), nil
}

// UnmarshalText reads what MarshalText writes and nothing else.
func (h *Head) UnmarshalText(p []byte) error {
	size, root, _ := strings.Cut(string(p), ":")
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil || n < 1 || strconv.FormatInt(n, 10) != size {
		return fmt.Errorf("head: %w", errSpelling)
	}
	h.Size = n
	return h.Root.UnmarshalText([]byte(root))
}
