package vault

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/oidc-injector/oidc-injector/test/internal/buildcache"
	"github.com/oidc-injector/oidc-injector/test/internal/pki"
	"github.com/oidc-injector/oidc-injector/test/internal/ports"
	"github.com/oidc-injector/oidc-injector/test/internal/process"
	"github.com/oidc-injector/oidc-injector/test/internal/statedir"
)

// stopGrace is how long Vault may take to step down in order, which usually
// takes it a second.
const stopGrace = 10 * time.Second

// kind tells the folders of Vaults from others.
var kind = statedir.Kind{Name: program}

// Options say how to start. The zero value will do.
type Options struct {
	// Progress gets a line now and then while Vault is built. By default nobody
	// is told.
	Progress io.Writer
	// Program is the path of a `vault` or `bao` to run instead of the one that is
	// built.
	Program string
	// StateDir is the folder in which the server makes a folder of its own, and
	// removes it. By default it is os.TempDir.
	StateDir string
	// LogDir is the folder for the log, which stays there. By default it is part
	// of the state, and is removed unless Server.KeepLog was called.
	LogDir string
	// ExtraIPs are addresses for which the certificate is valid as well. The
	// server listens on 127.0.0.1 all the same.
	ExtraIPs []net.IP
}

func (o Options) withDefaults() Options {
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	return o
}

// Server is a running Vault. Its methods can be called concurrently.
type Server struct {
	options     Options
	program     string
	state       *statedir.Dir
	ca          *pki.Authority
	certificate tls.Certificate
	port        *ports.Reserved // of the API
	clusterPort *ports.Reserved // for other servers of the cluster, of which there are none
	client      *api.Client
	unsealKey   string

	mu      sync.Mutex
	process *process.Process // nil while stopped
	logDir  string
	keepLog bool

	stop    sync.Once
	stopErr error
}

// Start starts Vault, initialises and unseals it, and waits until it can be
// used. The context is for starting only; the server runs until Stop is called
// or this process ends.
func Start(ctx context.Context, options Options) (*Server, error) {
	options = options.withDefaults()
	path := options.Program
	if path == "" {
		var err error
		if path, err = source.Build(ctx, options.Progress); err != nil {
			return nil, err
		}
	}
	state, err := statedir.New(options.StateDir, kind)
	if err != nil {
		return nil, err
	}
	s := &Server{options: options, program: path, state: state}
	if err := s.start(ctx); err != nil {
		s.KeepLog()
		stopErr := s.Stop()
		return nil, errors.Join(fmt.Errorf("could not start Vault, its log is %s: %w", s.LogFile(), err), stopErr)
	}
	return s, nil
}

func (s *Server) start(ctx context.Context) (err error) {
	if s.logDir, err = s.state.MakeLogs(s.options.LogDir); err != nil {
		return err
	}
	if s.port, err = ports.Reserve(); err != nil {
		return err
	}
	if s.clusterPort, err = ports.Reserve(); err != nil {
		return err
	}
	if runtime.GOOS != "linux" {
		// Elsewhere the reservation keeps Vault from the port, too.
		s.port.Release()
		s.clusterPort.Release()
	}
	if err := s.writeFiles(); err != nil {
		return err
	}
	if s.client, err = s.NewClient(s.Address(), ""); err != nil {
		return err
	}
	if err := s.StartSealed(ctx); err != nil {
		return err
	}
	if err := s.initialise(ctx); err != nil {
		return err
	}
	return s.Unseal(ctx)
}

// writeFiles writes what Vault reads: its configuration and its certificate.
func (s *Server) writeFiles() (err error) {
	if s.ca, err = pki.NewAuthority(); err != nil {
		return err
	}
	pair, err := s.ca.Issue(pki.Identity{
		User:  "vault",
		Names: []string{"localhost"},
		IPs:   append([]net.IP{net.IPv4(127, 0, 0, 1)}, s.options.ExtraIPs...),
	})
	if err != nil {
		return err
	}
	if s.certificate, err = tls.X509KeyPair(pair.Certificate, pair.Key); err != nil {
		return fmt.Errorf("could not use the certificate of Vault: %w", err)
	}
	// Vault does not make the folder itself.
	if err := os.Mkdir(s.state.Path("data"), 0o700); err != nil {
		return fmt.Errorf("could not create the folder for the data of Vault: %w", err)
	}
	config, err := json.MarshalIndent(s.config(), "", "  ")
	if err != nil {
		return fmt.Errorf("could not encode the configuration of Vault: %w", err)
	}
	return buildcache.WriteFiles(s.state.Root, map[string][]byte{
		"vault.json": config,
		"ca.crt":     s.ca.PEM,
		"vault.crt":  pair.Certificate,
		"vault.key":  pair.Key,
	})
}

func (s *Server) config() map[string]any {
	cluster := loopback(s.clusterPort.Number)
	return map[string]any{
		"storage": map[string]any{"raft": map[string]any{
			"path":                   s.state.Path("data"),
			"node_id":                "vault",
			"performance_multiplier": "1", // of the time until a server votes for itself
		}},
		"listener": map[string]any{"tcp": map[string]any{
			"address":         loopback(s.port.Number),
			"cluster_address": cluster,
			"tls_cert_file":   s.state.Path("vault.crt"),
			"tls_key_file":    s.state.Path("vault.key"),
		}},
		"api_addr":           s.Address(),
		"cluster_addr":       "https://" + cluster,
		"disable_mlock":      true, // it takes a capability, and secrets of tests are none
		"log_level":          "info",
		"log_requests_level": "info", // a line for each request, with neither tokens nor secrets
	}
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func (s *Server) initialise(ctx context.Context) error {
	response, err := s.client.Sys().InitWithContext(ctx, &api.InitRequest{SecretShares: 1, SecretThreshold: 1})
	if err != nil {
		return fmt.Errorf("could not initialise Vault: %w", err)
	}
	s.unsealKey = response.KeysB64[0]
	s.client.SetToken(response.RootToken)
	return nil
}

// StartSealed starts the server after Shutdown or Kill, at the same ports and
// with the same data, and waits until it answers that it is sealed.
func (s *Server) StartSealed(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		return errors.New("could not start Vault: it runs")
	}
	p, err := process.Host{}.Start(process.Command{
		Name: program,
		Path: s.program,
		Args: []string{"server", "-config=" + s.state.Path("vault.json")},
		Env:  environment(),
		Log:  s.logFile(),
	})
	if err != nil {
		return err
	}
	s.process = p
	return process.WaitUntil(ctx, "Vault answers", func(ctx context.Context) (bool, error) {
		if err := p.Failure(); err != nil {
			return false, err
		}
		_, err := s.client.Sys().SealStatusWithContext(ctx)
		return err == nil, nil
	})
}

// environment is that of this process without what Vault takes for options.
func environment() (env []string) {
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "VAULT_") {
			env = append(env, variable)
		}
	}
	return env
}

// Start is StartSealed and Unseal.
func (s *Server) Start(ctx context.Context) error {
	if err := s.StartSealed(ctx); err != nil {
		return err
	}
	return s.Unseal(ctx)
}

// Restart stops the server, if it runs, and starts it.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Shutdown(); err != nil {
		return err
	}
	return s.Start(ctx)
}

// Shutdown stops the server in order. Its data stays, and its port stays free,
// until Stop is called.
func (s *Server) Shutdown() error { return s.end(stopGrace) }

// Kill stops the server at once, as a crash would. Otherwise it is Shutdown.
func (s *Server) Kill() error { return s.end(0) }

func (s *Server) end(grace time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return nil
	}
	// A process that is paused would not hear of SIGTERM.
	if err := s.process.Signal(syscall.SIGCONT); err != nil {
		return err
	}
	if err := s.process.Stop(grace); err != nil {
		return err
	}
	s.process = nil
	return nil
}

// Pause makes the server hang: connections to it are made, and stay without an
// answer until Resume.
func (s *Server) Pause() error { return s.signal(syscall.SIGSTOP) }

// Resume lets the server go on after Pause.
func (s *Server) Resume() error { return s.signal(syscall.SIGCONT) }

func (s *Server) signal(signal syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return errors.New("could not send a signal to Vault: it does not run")
	}
	return s.process.Signal(signal)
}

// Seal seals the server: it answers, with status 503, until Unseal.
func (s *Server) Seal(ctx context.Context) error {
	if err := s.client.Sys().SealWithContext(ctx); err != nil {
		return fmt.Errorf("could not seal Vault: %w", err)
	}
	return nil
}

// Unseal unseals the server and waits until it can be used.
func (s *Server) Unseal(ctx context.Context) error {
	if _, err := s.client.Sys().UnsealWithContext(ctx, s.unsealKey); err != nil {
		return fmt.Errorf("could not unseal Vault: %w", err)
	}
	// For a moment it is a standby, without an active server to pass requests to.
	return process.WaitUntil(ctx, "Vault is active", func(ctx context.Context) (bool, error) {
		if err := s.failure(); err != nil {
			return false, err
		}
		health, err := s.client.Sys().HealthWithContext(ctx)
		return err == nil && health.Initialized && !health.Sealed && !health.Standby, nil
	})
}

func (s *Server) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return errors.New("Vault does not run") //nolint:staticcheck // a name
	}
	return s.process.Failure()
}

// Address is the URL of the server, such as https://127.0.0.1:40123.
func (s *Server) Address() string { return "https://" + loopback(s.port.Number) }

// Port is that of the address.
func (s *Server) Port() int { return s.port.Number }

// CA is the certificate, in PEM, by which the server is to be verified.
func (s *Server) CA() []byte { return append([]byte(nil), s.ca.PEM...) }

// CAFile is the path of a file with CA.
func (s *Server) CAFile() string { return s.state.Path("ca.crt") }

// Certificate is that of the server, for servers of a test that are to be taken
// for it.
func (s *Server) Certificate() tls.Certificate { return s.certificate }

// VaultPath is the path of the program, which is a client as well.
func (s *Server) VaultPath() string { return s.program }

// LogFile is what the server writes: that it starts and stops, and a line for
// each request. Unless Options.LogDir was given, it is gone after Stop, or
// moved if KeepLog was called.
func (s *Server) LogFile() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logFile()
}

func (s *Server) logFile() string { return filepath.Join(s.logDir, program+".log") }

// KeepLog makes Stop leave the log, and LogFile tell where it is.
func (s *Server) KeepLog() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keepLog = true
}

// Stop ends the server and removes its data. Further calls return what the
// first one did.
func (s *Server) Stop() error {
	s.stop.Do(func() { s.stopErr = s.stopAll() })
	return s.stopErr
}

func (s *Server) stopAll() error {
	// Nothing is kept, so there is no point in letting it finish.
	errs := []error{s.Kill()}
	s.mu.Lock()
	defer s.mu.Unlock()
	if runtime.GOOS == "linux" {
		s.port.Release()
		s.clusterPort.Release()
	}
	if s.keepLog {
		var err error
		s.logDir, err = s.state.KeepLogs(s.logDir)
		errs = append(errs, err)
	}
	return errors.Join(append(errs, s.state.Remove())...)
}
