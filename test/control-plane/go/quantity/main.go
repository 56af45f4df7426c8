// Reads one JSON string a line and says what kubelet makes of it as a bandwidth: bits a second, or "invalid".
// The bounds are those of validateBandwidthIsReasonable (pkg/kubelet/util/../bandwidth/utils.go).
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/api/resource"
)

func main() {
	least, most := resource.MustParse("1k"), resource.MustParse("1P")
	lines := bufio.NewScanner(os.Stdin)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for lines.Scan() {
		var text string
		if err := json.Unmarshal(lines.Bytes(), &text); err != nil {
			panic(err)
		}
		quantity, err := resource.ParseQuantity(text)
		if err != nil || quantity.Value() < least.Value() || quantity.Value() > most.Value() {
			fmt.Fprintln(out, "invalid")
			continue
		}
		fmt.Fprintln(out, quantity.Value())
	}
}
