package staging

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
)

// User is who a worker runs as.
type User struct {
	UID, GID uint32
	Groups   []uint32 // the supplementary ones; the worker has no others
	// Name and Home are those of /etc/passwd, empty if the user is not in it.
	Name, Home string
}

// Accounts are the files in which names are looked up.
type Accounts struct {
	Passwd, Group string // empty: those of /etc
}

const wantUser = "want USER or USER:GROUP, by name or number"

// ParseUser reads "name", "uid", "user:group" and "1000:1000" with the files of
// /etc; see Accounts.User.
func ParseUser(text string) (User, error) { return Accounts{}.User(text) }

// User reads "user" or "user:group", each by name or number. Names are looked
// up in the files alone: a static binary cannot ask NSS, and an image has
// nothing else to ask. Numbers need no file.
//
// A user alone gets the group of passwd(5), or the group of the same number if
// it is not there, and the supplementary groups of group(5). With a group named
// the user is in that one alone. Docker's USER is read in the same way, but for
// a number that is not in passwd, whose group is root there.
func (a Accounts) User(text string) (User, error) {
	name, group, withGroup := strings.Cut(strings.TrimSpace(text), ":")
	if name == "" || withGroup && group == "" {
		return User{}, errors.New(wantUser)
	}
	u, err := a.lookUpUser(name)
	if err != nil {
		return User{}, err
	}
	if withGroup {
		u.GID, err = a.lookUpGroup(group)
		u.Groups = []uint32{u.GID}
		return u, err
	}
	u.Groups, err = a.groupsOf(u)
	return u, err
}

func (a Accounts) lookUpUser(name string) (User, error) {
	id, isID, err := parseID(name)
	if err != nil {
		return User{}, err
	}
	u := User{UID: id, GID: id}
	found := false
	// name:password:UID:GID:comment:home:shell
	err = eachEntry(a.Passwd, "/etc/passwd", 7, func(f []string) bool {
		uid, ok1, _ := parseID(f[2])
		gid, ok2, _ := parseID(f[3])
		found = ok1 && ok2 && (f[0] == name || isID && uid == id)
		if found {
			u = User{UID: uid, GID: gid, Name: f[0], Home: f[5]}
		}
		return !found
	})
	switch {
	case isID && errors.Is(err, fs.ErrNotExist):
		err = nil
	case err == nil && !found && !isID:
		err = fmt.Errorf("there is no user %q in %s: %s", name, or(a.Passwd, "/etc/passwd"), wantUser)
	}
	return u, err
}

func (a Accounts) lookUpGroup(name string) (uint32, error) {
	id, isID, err := parseID(name)
	if isID || err != nil {
		return id, err
	}
	found := false
	// name:password:GID:members
	err = eachEntry(a.Group, "/etc/group", 4, func(f []string) bool {
		var ok bool
		if f[0] == name {
			id, ok, _ = parseID(f[2])
			found = ok
		}
		return !found
	})
	if err == nil && !found {
		err = fmt.Errorf("there is no group %q in %s: %s", name, or(a.Group, "/etc/group"), wantUser)
	}
	return id, err
}

// groupsOf is the primary group and those that list the user, as initgroups(3).
func (a Accounts) groupsOf(u User) ([]uint32, error) {
	groups := []uint32{u.GID}
	if u.Name == "" {
		return groups, nil
	}
	err := eachEntry(a.Group, "/etc/group", 4, func(f []string) bool {
		gid, ok, _ := parseID(f[2])
		if ok && slices.Contains(strings.Split(f[3], ","), u.Name) && !slices.Contains(groups, gid) {
			groups = append(groups, gid)
		}
		return true
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return groups, err
}

// eachEntry calls use for each line of n fields until it returns false.
func eachEntry(path, otherwise string, n int, use func(fields []string) bool) error {
	file, err := os.Open(or(path, otherwise))
	if err != nil {
		return fmt.Errorf("cannot look up names: %w", err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20) // a group may have many members
	for lines.Scan() {
		fields := strings.Split(lines.Text(), ":")
		if len(fields) == n && fields[0] != "" && !use(fields) {
			return nil
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("cannot look up names in %s: %w", file.Name(), err)
	}
	return nil
}

// parseID reads a number. 2^32-1 is refused: setresuid(2) takes it for "leave
// it as it is".
func parseID(text string) (id uint32, isID bool, err error) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, false, nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 1<<32-1 {
		return 0, false, fmt.Errorf("%s is too large for an ID: want at most 4294967294", text)
	}
	return uint32(n), true, nil
}

func or(path, otherwise string) string {
	if path == "" {
		return otherwise
	}
	return path
}
