// Package sarif validates what the plugin's lint prints for code scanning.
package sarif
