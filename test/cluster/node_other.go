//go:build !linux

package cluster

import (
	"context"
	"errors"
	"net"

	"github.com/oidc-injector/oidc-injector/test/internal/process"
)

// node has no implementation here; NodeSupported keeps it from being used.
type node struct{}

var errNoNode = errors.New("a node needs Linux")

// NodeSupported tells why no node can run on this machine; nil if it can.
func NodeSupported() error { return errNoNode }

func newNodePrograms(context.Context, Options) (*node, error) { return nil, errNoNode }
func newNode(context.Context, *Cluster) (*node, error)        { return nil, errNoNode }

func (*node) starter() process.Starter                       { return process.Host{} }
func (*node) forwardPort() (int, error)                      { return 0, errNoNode }
func (*node) expose(int) error                               { return errNoNode }
func (*node) dial(context.Context, string) (net.Conn, error) { return nil, errNoNode }
func (*node) stop() error                                    { return nil }

func (*node) restartKubelet(context.Context) error { return errNoNode }
func (*node) path(path string) string              { return path }

func (*node) loadImage(context.Context, string, map[string]string, Image) error { return errNoNode }

func (c *Cluster) startNode(context.Context) error   { return errNoNode }
func (c *Cluster) waitForNode(context.Context) error { return errNoNode }

// removeControlGroups has nothing to remove where no node was.
func removeControlGroups(string) error { return nil }
