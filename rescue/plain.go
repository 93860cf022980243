package rescue

import "salvor/rescue/mapfile"

// NewPlain returns the plain strategy.
func NewPlain(m *mapfile.Map, info Info, inFlight int) Planner { return nil }
