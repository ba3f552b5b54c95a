package report

// Style colors words for a terminal; its zero value leaves them as they are.
type Style struct{ On bool }

// The colors of ECMA-48 (SGR).

// Bold is for what is to be found first.
func (s Style) Bold(text string) string { return s.sgr("1", text) }

// Red is for what is wrong.
func (s Style) Red(text string) string { return s.sgr("31", text) }

// Green is for what is right.
func (s Style) Green(text string) string { return s.sgr("32", text) }

// Yellow is for what deserves a look.
func (s Style) Yellow(text string) string { return s.sgr("33", text) }

func (s Style) sgr(code, text string) string {
	if !s.On {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Mark is the tick or cross of a status.
func (s Style) Mark(status Status) string {
	switch status {
	case Pass:
		return s.Green("✓")
	case Fail:
		return s.Red("✗")
	case Warn:
		return s.Yellow("!")
	default:
		return "?"
	}
}
