package config

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/ini"
)

// A setter reads a setting's text, which is never empty, into its field. dir is what
// relative paths are relative to.
type setter func(c *Config, text, dir string) error

type duration = time.Duration

func text(field func(*Config) *string) setter {
	return func(c *Config, text, _ string) error {
		*field(c) = text
		return nil
	}
}

// list takes commas or white space between the parts, so that a list may stand on several lines.
func list(field func(*Config) *[]string) setter {
	return func(c *Config, text, _ string) error {
		*field(c) = fields(text)
		return nil
	}
}

func fields(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' })
}

func number(least int, field func(*Config) *int) setter {
	return func(c *Config, text, _ string) error {
		n, err := ini.ParseInt(text)
		if err != nil {
			return err
		}
		if n < least {
			return fmt.Errorf("%d is too small; write %d or more", n, least)
		}
		*field(c) = n
		return nil
	}
}

func seconds(field func(*Config) *duration) setter {
	return func(c *Config, text, dir string) error {
		var n int
		if err := number(0, func(*Config) *int { return &n })(c, text, dir); err != nil {
			return err
		}
		*field(c) = time.Duration(n) * time.Second
		return nil
	}
}

func size(field func(*Config) *int64) setter {
	return func(c *Config, text, _ string) error {
		n, err := ini.ParseBytes(text)
		if err != nil {
			return err
		}
		if n < 0 {
			return fmt.Errorf("%d is negative; write 0 or more", n)
		}
		*field(c) = n
		return nil
	}
}

// address takes host:port, :port and *:port, and gives host:port with an empty host for every interface.
func address(field func(*Config) *string) setter {
	return func(c *Config, text, _ string) error {
		host, port, err := ini.ParseHostPort(text)
		if err != nil {
			return err
		}
		*field(c) = net.JoinHostPort(host, strconv.Itoa(port))
		return nil
	}
}

// listener is address for a port of our own, where 0 takes any that is free: it is told to whom it concerns.
func listener(field func(*Config) *string) setter {
	return func(c *Config, text, dir string) error {
		host, isAny := strings.CutSuffix(text, ":0")
		if !isAny {
			return address(field)(c, text, dir)
		}
		if err := address(field)(c, host+":1", dir); err != nil {
			return err
		}
		*field(c) = strings.TrimSuffix(*field(c), "1") + "0"
		return nil
	}
}

func pairs(field func(*Config) *map[string]string) setter {
	return func(c *Config, text, _ string) error {
		labels := map[string]string{}
		for _, part := range fields(text) {
			name, value, ok := strings.Cut(part, "=")
			if !ok || name == "" {
				return fmt.Errorf("%q is not a label; write name=value, as in zone=a", part)
			}
			if _, twice := labels[name]; twice {
				return fmt.Errorf("label %s is given twice; give it one value", name)
			}
			labels[name] = value
		}
		*field(c) = labels
		return nil
	}
}

func path(field func(*Config) *string) setter {
	return func(c *Config, text, dir string) error {
		if !filepath.IsAbs(text) {
			text = filepath.Join(dir, text)
		}
		*field(c) = filepath.Clean(text)
		return nil
	}
}

// keptFile takes a path, which may begin with ~/, and none.
func keptFile(field func(*Config) *string) setter {
	file := path(field)
	return func(c *Config, text, dir string) error {
		if strings.EqualFold(text, NoFile) {
			*field(c) = NoFile
			return nil
		}
		if rest, ok := strings.CutPrefix(text, "~/"); ok {
			home, err := os.UserHomeDir()
			if err != nil {
				return fmt.Errorf("%q needs a home directory: %w", text, err)
			}
			text = filepath.Join(home, rest)
		}
		return file(c, text, dir)
	}
}

// pemOrFile takes a file's name or the text of a PEM block.
func pemOrFile(field func(*Config) *string) setter {
	file := path(field)
	return func(c *Config, text, dir string) error {
		if !strings.HasPrefix(text, "-----BEGIN ") {
			return file(c, text, dir)
		}
		if !strings.Contains(text, "-----END ") {
			return errors.New(`the PEM text has no END line; indent all its lines deeper than the key`)
		}
		*field(c) = text + "\n"
		return nil
	}
}

// PEM is the text of a setting that is a file's name or the text itself; "" of none.
func PEM(value string) (string, error) {
	if value == "" || strings.HasPrefix(value, "-----BEGIN ") {
		return value, nil
	}
	text, err := os.ReadFile(value)
	return string(text), err
}

var levels = []string{"debug", "info", "warn", "error"}

func level(field func(*Config) *string) setter {
	return func(c *Config, text, _ string) error {
		name := strings.ToLower(text)
		if !slices.Contains(levels, name) {
			return fmt.Errorf("%q is not a log level; write one of %s", text, strings.Join(levels, ", "))
		}
		*field(c) = name
		return nil
	}
}

func source(field func(*Config) *string) setter {
	return func(c *Config, text, _ string) error {
		if text == api.SourceAPI {
			return fmt.Errorf("%q is the source of programs made through the API; choose another name", text)
		}
		*field(c) = text
		return nil
	}
}
