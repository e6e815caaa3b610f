// Package config has the settings.
package config

// Default is one of them.
const Default = "x"
