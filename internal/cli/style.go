package cli

// style colors words for a terminal; its zero value leaves them as they are.
type style struct{ on bool }

func (g *globals) style() style { return style{on: g.Color} }

// The colors of ECMA-48 (SGR).
func (s style) bold(text string) string   { return s.sgr("1", text) }
func (s style) red(text string) string    { return s.sgr("31", text) }
func (s style) green(text string) string  { return s.sgr("32", text) }
func (s style) yellow(text string) string { return s.sgr("33", text) }

func (s style) sgr(code, text string) string {
	if !s.on {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
