// How the programs of this folder end: with one JSON line, and in time.
'use strict';

/** What is to be called at the end, with an error or without. `seen` is printed; after `most` seconds it is an error. */
exports.limit = (most, seen) => {
  const finish = (error) => {
    if (error) seen.error = `${error.name || 'Error'}: ${error.message || error}`.slice(0, 500);
    console.log(JSON.stringify({ ...seen, ok: !error }));
    process.exit(error ? 1 : 0);
  };
  setTimeout(() => finish(new Error(`no end within ${most} s`)), most * 1000).unref();
  process.on('unhandledRejection', finish);
  return finish;
};

exports.seconds = (since) => (Date.now() - since) / 1000;
