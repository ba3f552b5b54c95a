package login

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/endpoint"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/internal/truncate"
)

// Config is what the options say.
type Config struct {
	// Options are all that have a value, those of the method among them. They are
	// valid, and belong to the method.
	Options loginspec.Values

	Method, Mode string
	JWTFile      string

	OutputFile, OutputFormat string
	OutputMode               fs.FileMode

	CAFile, CABundle, CAOutputFile string

	Timeout        time.Duration
	RevokeOnExit   bool
	ListenAddress  string
	TerminationLog string
	LogFormat      string
	LogLevel       slog.Level

	// Unknown are variables that look like options and are none.
	Unknown []string
}

func newConfig(v loginspec.Values) Config {
	// Valid values can be read.
	mode, _ := strconv.ParseUint(v[loginspec.OutputMode], 8, 32)
	var level slog.Level
	_ = level.UnmarshalText([]byte(v[loginspec.LogLevel]))
	return Config{
		Options: v, Method: v[loginspec.MethodName], Mode: v[loginspec.Mode], JWTFile: v[loginspec.JWTFile],
		OutputFile: v[loginspec.OutputFile], OutputFormat: v[loginspec.OutputFormat], OutputMode: fs.FileMode(mode),
		CAFile: v[loginspec.CAFile], CABundle: v[loginspec.CABundle], CAOutputFile: v[loginspec.CAOutputFile],
		Timeout: v.Duration(loginspec.Timeout), RevokeOnExit: v.Bool(loginspec.RevokeOnExit), ListenAddress: v[loginspec.ListenAddress],
		TerminationLog: v[loginspec.TerminationLog], LogFormat: v[loginspec.LogFormat], LogLevel: level,
	}
}

// Options are the options as they were given: by flags, else in the environment,
// else their defaults.
type Options struct {
	environ map[string]string
	flags   map[loginspec.Name]string
}

// NewOptions takes what the environment says, in the form of os.Environ. An
// empty variable counts as none.
func NewOptions(environ []string) *Options {
	o := &Options{environ: map[string]string{}, flags: map[loginspec.Name]string{}}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, loginspec.EnvPrefix) && value != "" {
			o.environ[name] = value
		}
	}
	return o
}

// AddFlags defines the flags: all, or those that are named. They are read as
// text, so that Config can report everything that is wrong at once.
func (o *Options) AddFlags(fs *flag.FlagSet, names ...loginspec.Name) {
	for _, option := range options {
		if len(names) == 0 || slices.Contains(names, option.Name) {
			fs.Var(&textFlag{o, option}, string(option.Name), "")
		}
	}
}

// textFlag is an option as a flag.
type textFlag struct {
	options *Options
	option  option
}

// String is the text of the option, as the package flag wants it.
func (f *textFlag) String() string { return "" }

// Set takes the text of the option.
func (f *textFlag) Set(text string) error {
	f.options.flags[f.option.Name] = text
	return nil
}

// IsBoolFlag lets a boolean be given without a value.
func (f *textFlag) IsBoolFlag() bool { return f.option.Value == loginspec.Boolean }

// text is the value of an option and the name under which it was given. An empty
// flag is the default, whatever the variable says.
func (o *Options) text(option option) (text, source string) {
	if text, ok := o.flags[option.Name]; ok {
		if text == "" {
			return option.Default, ""
		}
		return text, "--" + string(option.Name)
	}
	if text, ok := o.environ[option.Name.Env()]; ok {
		return text, option.Name.Env()
	}
	return option.Default, ""
}

// OutputFile is that option alone.
func (o *Options) OutputFile() string { return o.only(loginspec.OutputFile) }

// TerminationLog is that option alone.
func (o *Options) TerminationLog() string { return o.only(loginspec.TerminationLog) }

func (o *Options) only(name loginspec.Name) string {
	i := slices.IndexFunc(options, func(option option) bool { return option.Name == name })
	text, _ := o.text(options[i])
	return text
}

// unknown lists variables that look like options and are none, but not those
// that Kubernetes makes of a Service with such a name.
func (o *Options) unknown() []string {
	var unknown []string
	for name := range o.environ {
		known := slices.ContainsFunc(options, func(option option) bool { return option.Name.Env() == name })
		if !known && !strings.Contains(name, "_SERVICE_") && !strings.Contains(name, "_PORT") {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

// Config makes a configuration of the options, or reports everything that is
// wrong with them.
func (o *Options) Config() (Config, error) {
	text, _ := o.text(options[0])
	method := loginspec.MethodOf(text)
	c := checking{method: method, values: loginspec.Values{}, given: map[loginspec.Name]bool{}}
	for _, option := range options {
		text, source := o.text(option)
		c.given[option.Name] = source != ""
		form := option.of(method)
		if source == "" && form != nil {
			text = form.Default
		}
		switch {
		case form == nil && source != "":
			c.report("%s: not supported by method %s", source, method.Name)
		case form != nil && text != "":
			c.read(form, text, source)
		}
	}
	c.fit()
	config := newConfig(c.values)
	config.Unknown = o.unknown()
	return config, errors.Join(c.errs...)
}

// checking reads and checks the options.
type checking struct {
	method *loginspec.Method // nil where there is no such method
	values loginspec.Values
	given  map[loginspec.Name]bool
	errs   []error
}

func (c *checking) report(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf(format, args...))
}

// read takes a value that is valid, and reports any other.
func (c *checking) read(o *loginspec.Option, text, source string) {
	switch err := o.Validate(text); {
	case errors.Is(err, endpoint.ErrUser): // its value is not to be shown
		c.report("%s: %w", source, err)
	case err != nil:
		c.report("%s: invalid value %s: %w", source, shorten(text), err)
	default:
		c.values[o.Name] = text
	}
}

// shorten quotes a value, of which a bundle of certificates is too long to show.
func shorten(value string) string { return strconv.Quote(truncate.String(value, 80)) }

func flagOf(name loginspec.Name) string { return "--" + string(name) }

// fit reports what does not fit together.
func (c *checking) fit() {
	if c.method != nil {
		c.fitMethod()
	}
	given, v := c.given, c.values
	for _, clash := range []struct {
		found bool
		text  string
	}{
		{given[loginspec.CAFile] && given[loginspec.CABundle], "--ca-file, --ca-bundle: only one of them can be given"},
		{
			given[loginspec.CAOutputFile] && !given[loginspec.CAFile] && !given[loginspec.CABundle],
			"--ca-output-file: needs --ca-file or --ca-bundle",
		},
		{
			given[loginspec.CAOutputFile] && filepath.Clean(v[loginspec.CAOutputFile]) == filepath.Clean(v[loginspec.OutputFile]),
			"--ca-output-file: is the output file",
		},
		{given[loginspec.ClientCert] != given[loginspec.ClientKey], "--client-cert, --client-key: only both together are of use"},
	} {
		if clash.found {
			c.report("%s", clash.text)
		}
	}
}

// fitMethod reports what the method needs, and what its rules say.
func (c *checking) fitMethod() {
	needs := make([]string, 0, len(c.method.Needs))
	var given []string
	for _, name := range c.method.Needs {
		needs = append(needs, flagOf(name))
		if c.given[name] {
			given = append(given, flagOf(name))
		}
	}
	switch {
	case len(given) == 0:
		c.report("%s: is missing: %s", needs[0], c.method.Missing(func(o *loginspec.Option) string { return flagOf(o.Name) }))
	case len(given) > 1:
		c.report("%s: only one of them can be given", strings.Join(given, ", "))
	}
	for _, broken := range c.method.Violations(c.values, flagOf) {
		if c.given[broken.Option] {
			c.report("%s: invalid value %s: %w", flagOf(broken.Option), shorten(c.values[broken.Option]), broken.Err)
		} else {
			c.report("%s: is missing: %w", flagOf(broken.Option), broken.Err)
		}
	}
}
