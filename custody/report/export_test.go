package report

import "salvor/custody/report/layout"

// DocumentOf is the document that all formats of a paper are made of.
func DocumentOf(p Paper) (layout.Document, error) { return document(p, "") }
