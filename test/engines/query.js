// Runs SQL queries in an engine and prints their results.
//
//	node query.js <chdb|duckdb> <folder with node_modules> < queries.json
//
// The input is a JSON array of queries, the output a JSON array with an array
// of row objects for each; 64-bit integers and times are strings.
'use strict';

const { createRequire } = require('node:module');
const fs = require('node:fs');
const path = require('node:path');

const [engine, folder] = process.argv.slice(2);
const load = createRequire(path.join(path.resolve(folder), 'package.json'));

async function chdb(queries) {
  const { query } = load('chdb');
  return queries.map((sql) =>
    query(`${sql} SETTINGS output_format_json_quote_64bit_integers = 1`, 'JSONEachRow')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line)));
}

async function duckdb(queries) {
  const { DuckDBInstance } = load('@duckdb/node-api');
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  const results = [];
  for (const sql of queries) {
    const reader = await connection.runAndReadAll(sql);
    results.push(reader.getRowObjectsJson());
  }
  return results;
}

async function main() {
  const queries = JSON.parse(fs.readFileSync(0, 'utf8'));
  const results = await { chdb, duckdb }[engine](queries);
  process.stdout.write(JSON.stringify(results));
}

main().catch((err) => {
  process.stderr.write(`${err.stack || err}\n`);
  process.exitCode = 1;
});
