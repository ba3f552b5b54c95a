package login

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/internal/truncate"
)

// Config is what the options say.
type Config struct {
	Method, Mode string
	JWTFile      string
	// JWTUse is jwtOnce where a JWT is good for one login; else for many.
	JWTUse          string
	Address, Issuer *url.URL

	// Of Vault.
	Role, Mount, Namespace string
	// Of OAuth.
	ClientID, Scope      string
	Resources, Audiences []string
	// Lifetime is how long an access token lasts of which nobody says it; 0 means
	// that it is not known.
	Lifetime time.Duration

	OutputFile, OutputFormat string
	OutputMode               fs.FileMode

	CAFile, CABundle, CAOutputFile string
	ClientCert, ClientKey          string
	TLSServerName                  string

	// CheckInterval is how often to ask whether the token is still valid; 0 means
	// never.
	CheckInterval time.Duration

	Timeout, RequestTimeout time.Duration
	RevokeOnExit            bool
	ListenAddress           string
	TerminationLog          string
	LogFormat               string
	LogLevel                slog.Level

	// Unknown are variables that look like options and are none.
	Unknown []string
}

// jwtOnce is the JWTUse of a relying party that accepts each JWT once.
const jwtOnce = "once"

// defaultCheckInterval bounds how long an app has a token that was revoked. One
// request of every pod in five minutes is what a renewal of leases of seven
// minutes and a half would cost.
const defaultCheckInterval = 5 * time.Minute

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
	c := Config{CheckInterval: defaultCheckInterval, Unknown: o.unknown()}
	var errs []error
	given := map[loginspec.Name]bool{}
	for _, option := range options {
		text, source := o.text(option)
		given[option.Name] = source != ""
		if text == "" {
			continue
		}
		err := option.set(&c, &option.Option, text)
		switch {
		case errors.Is(err, errUserInfo): // its value is not to be shown
			errs = append(errs, fmt.Errorf("%s: %w", source, err))
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: invalid value %s: %w", source, shorten(text), err))
		}
	}
	errs = append(errs, c.check(given)...)
	return c, errors.Join(errs...)
}

// shorten quotes a value, of which a bundle of certificates is too long to show.
func shorten(value string) string { return strconv.Quote(truncate.String(value, 80)) }

// check reports what does not fit together.
func (c *Config) check(given map[loginspec.Name]bool) []error {
	var errs []error
	report := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	for _, option := range options {
		report(given[option.Name] && !option.usedBy(c.Method), "--%s: is of no use with the method %s", option.Name, c.Method)
	}
	vault := c.Method == loginspec.MethodVault
	report(vault && !given[loginspec.Address], "--address: is missing: the URL of Vault, such as https://vault.example:8200")
	report(vault && c.Address != nil && c.Address.RawQuery != "", "--address: must have no query, as it is the URL of Vault")
	report(!vault && c.Method != "" && given[loginspec.Address] == given[loginspec.Issuer],
		"--address, --issuer: exactly one of them is needed: the URL of the token endpoint, or that of the issuer")
	report(c.Issuer != nil && c.Issuer.RawQuery != "", "--issuer: must have no query (RFC 8414 section 2)")
	report(given[loginspec.CAFile] && given[loginspec.CABundle], "--ca-file, --ca-bundle: only one of them can be given")
	report(given[loginspec.CAOutputFile] && !given[loginspec.CAFile] && !given[loginspec.CABundle],
		"--ca-output-file: needs --ca-file or --ca-bundle")
	report(given[loginspec.CAOutputFile] && filepath.Clean(c.CAOutputFile) == filepath.Clean(c.OutputFile),
		"--ca-output-file: is the output file")
	report(given[loginspec.ClientCert] != given[loginspec.ClientKey], "--client-cert, --client-key: only both together are of use")
	return errs
}

// setters read the options. Values that annotations set, too, are checked less
// strictly here where people write them by hand.
var setters = map[loginspec.Name]setter{
	loginspec.MethodName:     checkedText(func(c *Config) *string { return &c.Method }),
	loginspec.Mode:           checkedText(func(c *Config) *string { return &c.Mode }),
	loginspec.JWTFile:        anyText(func(c *Config) *string { return &c.JWTFile }),
	loginspec.Address:        webURL(func(c *Config) **url.URL { return &c.Address }),
	loginspec.Issuer:         webURL(func(c *Config) **url.URL { return &c.Issuer }),
	loginspec.Role:           anyText(func(c *Config) *string { return &c.Role }),
	loginspec.Mount:          setMount,
	loginspec.Namespace:      anyText(func(c *Config) *string { return &c.Namespace }),
	loginspec.ClientID:       anyText(func(c *Config) *string { return &c.ClientID }),
	loginspec.Scope:          anyText(func(c *Config) *string { return &c.Scope }),
	loginspec.Resource:       list(func(c *Config) *[]string { return &c.Resources }),
	loginspec.TargetAudience: list(func(c *Config) *[]string { return &c.Audiences }),

	loginspec.OutputFile:   anyText(func(c *Config) *string { return &c.OutputFile }),
	loginspec.OutputFormat: checkedText(func(c *Config) *string { return &c.OutputFormat }),
	loginspec.OutputMode:   setOutputMode,
	loginspec.CAFile:       anyText(func(c *Config) *string { return &c.CAFile }),
	loginspec.CABundle:     setBundle,
	loginspec.CAOutputFile: anyText(func(c *Config) *string { return &c.CAOutputFile }),

	loginspec.ClientCert:     anyText(func(c *Config) *string { return &c.ClientCert }),
	loginspec.ClientKey:      anyText(func(c *Config) *string { return &c.ClientKey }),
	loginspec.TLSServerName:  anyText(func(c *Config) *string { return &c.TLSServerName }),
	loginspec.Timeout:        duration(func(c *Config) *time.Duration { return &c.Timeout }),
	loginspec.RequestTimeout: duration(func(c *Config) *time.Duration { return &c.RequestTimeout }),
	loginspec.RevokeOnExit:   setRevoke,
	loginspec.ListenAddress:  checkedText(func(c *Config) *string { return &c.ListenAddress }),
	loginspec.TerminationLog: anyText(func(c *Config) *string { return &c.TerminationLog }),
	loginspec.LogFormat:      checkedText(func(c *Config) *string { return &c.LogFormat }),
	loginspec.LogLevel:       setLogLevel,
}

func anyText(field func(*Config) *string) setter {
	return func(c *Config, _ *loginspec.Option, text string) error {
		*field(c) = text
		return nil
	}
}

func checkedText(field func(*Config) *string) setter {
	return func(c *Config, o *loginspec.Option, text string) error {
		if err := o.Validate(text); err != nil {
			return err
		}
		*field(c) = text
		return nil
	}
}

func list(field func(*Config) *[]string) setter {
	return func(c *Config, _ *loginspec.Option, text string) error {
		*field(c) = strings.Fields(text)
		return nil
	}
}

var errUserInfo = errors.New("must have no user and no password")

// webURL reads a URL to send a JWT to.
func webURL(field func(*Config) **url.URL) setter {
	return func(c *Config, _ *loginspec.Option, text string) error {
		u, err := url.Parse(text)
		switch {
		case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
			return errors.New("must be a URL that begins with https:// or http://")
		case u.User != nil:
			return errUserInfo
		case u.Fragment != "":
			return errors.New("must have no fragment")
		}
		*field(c) = u
		return nil
	}
}

func duration(field func(*Config) *time.Duration) setter {
	return func(c *Config, o *loginspec.Option, text string) error {
		err := o.Validate(text)
		if err == nil {
			*field(c), err = time.ParseDuration(text)
		}
		return err
	}
}

func setMount(c *Config, _ *loginspec.Option, text string) error {
	c.Mount = strings.Trim(text, "/")
	for segment := range strings.SplitSeq(c.Mount, "/") {
		if segment == "" || segment == "." || segment == ".." || strings.ContainsAny(segment, "?#") {
			return errors.New("must be the path of an auth method, without auth/, such as jwt")
		}
	}
	return nil
}

func setOutputMode(c *Config, o *loginspec.Option, text string) error {
	if err := o.Validate(text); err != nil {
		return err
	}
	mode, err := strconv.ParseUint(text, 8, 32)
	c.OutputMode = fs.FileMode(mode)
	return err
}

func setBundle(c *Config, _ *loginspec.Option, text string) error {
	if !exchange.HasCertificate([]byte(text)) {
		return errors.New("must have a certificate in PEM")
	}
	c.CABundle = text
	return nil
}

func setRevoke(c *Config, _ *loginspec.Option, text string) error {
	revoke, err := strconv.ParseBool(text)
	if err != nil {
		return errors.New("must be true or false")
	}
	c.RevokeOnExit = revoke
	return nil
}

func setLogLevel(c *Config, o *loginspec.Option, text string) error {
	if err := o.Validate(text); err != nil {
		return err
	}
	return c.LogLevel.UnmarshalText([]byte(text))
}
