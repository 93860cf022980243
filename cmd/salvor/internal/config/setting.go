package config

// Origin says where the value of a setting came from.
type Origin string

// The origins, the strongest first.
const (
	FromFlag    Origin = "flag"
	FromEnv     Origin = "environment"
	FromConfig  Origin = "config"
	FromDefault Origin = "default"
)

// Setting is one value that may be given in several ways. It is never a secret:
// secrets come from files, descriptors, credentials and prompts only.
type Setting struct {
	Flag    string // the value of the flag
	FlagSet bool   // whether the flag was given; an empty value given on purpose counts
	Env     string // the name of the variable: "SALVOR_VAULT"; empty when there is none
	Config  string // the value of config.toml; empty when it says nothing
	Default string
}

// Resolve returns the strongest value and where it came from: flag, then variable,
// then config, then default. A variable that is set but empty counts as not set.
// lookup finds a variable; nil finds none.
func (s Setting) Resolve(lookup func(string) (string, bool)) (string, Origin) {
	if s.FlagSet {
		return s.Flag, FromFlag
	}
	if s.Env != "" && lookup != nil {
		if v, ok := lookup(s.Env); ok && v != "" {
			return v, FromEnv
		}
	}
	if s.Config != "" {
		return s.Config, FromConfig
	}
	return s.Default, FromDefault
}
