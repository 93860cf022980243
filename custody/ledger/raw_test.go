package ledger

import (
	"context"
	"database/sql/driver"

	"github.com/mattn/go-sqlite3"
)

// rawConnector opens a file without any of the ledger's pragmas.
type rawConnector struct{ connector }

func (c rawConnector) Connect(context.Context) (driver.Conn, error) { return c.Driver().Open(c.dsn) }

func (c rawConnector) Driver() driver.Driver { return &sqlite3.SQLiteDriver{} }
