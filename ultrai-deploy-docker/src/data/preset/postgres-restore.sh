set -eu
export PGUSER="${PGUSER:-postgres}"
export PGDATABASE="${PGDATABASE:-$PGUSER}"
command -v pg_restore >/dev/null || { echo "pg_restore: not found" >&2; exit 127; }
command -v psql >/dev/null || { echo "psql: not found" >&2; exit 127; }
{
  cat <<'SQL'
BEGIN;
SET LOCAL lock_timeout = '60s';
SET LOCAL client_min_messages = warning;
DO $ultrai$
DECLARE
  one record;
BEGIN
  FOR one IN
    SELECT format('%I.%I', n.nspname, c.relname) AS name,
      CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
        WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END AS kind
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
      AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
        AND d.objid = c.oid AND d.deptype IN ('e', 'i'))
  LOOP
    EXECUTE format('DROP %s IF EXISTS %s CASCADE', one.kind, one.name);
  END LOOP;
END
$ultrai$;
SQL
  if pg_restore --clean --if-exists --exit-on-error --file=-; then
    echo 'COMMIT;'
  else
    # Ends rows of a table that were cut off; it is an error where none are.
    printf '\n\\.\n'
    echo "DO \$\$ BEGIN RAISE EXCEPTION 'the dump could not be read to its end'; END \$\$;"
  fi
} | psql --no-psqlrc --quiet --no-password --output=/dev/null --set=ON_ERROR_STOP=1
