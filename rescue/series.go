package rescue

// A series is what short reads in a row have brought: around bad sectors a disk is read
// one physical sector at a time, and every piece that is handed over costs a record in
// the image, which is several times larger than what it holds. It waits no longer than
// a second for the next of its kind.
type series struct {
	parcel
}

// joins reports whether the reads of a pass come in series. Metadata does not: somebody
// waits for it.
func joins(pass uint8) bool {
	return pass == PassTrim || pass == PassRefine || pass == PassRetry
}

// takes reports whether a piece may be added to the series.
func (s *series) takes(p parcel) bool {
	return s.n > 0 && s.first+s.n == p.first && s.pass == p.pass && len(s.data)+len(p.data) <= MaxRead
}

// add puts a piece at the end. Its data is copied.
func (s *series) add(p parcel) {
	if s.n == 0 {
		s.parcel = parcel{first: p.first, pass: p.pass, release: func() {}}
	}
	s.n += p.n
	s.data = append(s.data, p.data...)
}
