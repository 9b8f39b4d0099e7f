// Command nonewprivs prints its effective user id. Its file is setuid root, so
// the answer tells whether no_new_privs was set (prctl(2)).
package main

import (
	"fmt"
	"os"
)

func main() { fmt.Printf("Effective uid: %d\n", os.Geteuid()) }
