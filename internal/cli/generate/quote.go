package generate

import (
	"strings"
	"text/template"
)

// functions are those of the templates. Whatever a pod says goes through one of them, so
// that it is a text in the output, and nothing else.
var functions = template.FuncMap{
	"sh": sh, "json": quoteJSON, "hcl": hcl, "indented": indented, "comment": comment, "pem": pem,
}

// sh is a word of a shell (POSIX, Shell Command Language 2.2.2).
func sh(text string) string {
	if text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+,", r)
	}) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// quoteJSON is a text of JSON, and so one of YAML in double quotes (YAML 1.2 section 1.3).
func quoteJSON(text string) string { return encode(text, "") }

// hcl is a text of HCL: JSON's, without templates (HCL native syntax specification,
// template expressions).
func hcl(text string) string {
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(quoteJSON(text))
}

// comment is a text within a comment of one line.
func comment(text string) string { return strings.Join(strings.Fields(text), " ") }

// pem has lines of PEM begin with white space, for a block of YAML or HCL.
func pem(text, indent string) string {
	return indent + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+indent)
}
