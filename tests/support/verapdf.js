// By Rhino: FLAVOURS, by commas, then files. Prints a line of JSON for each flavour of each file.

'use strict';

var foundries = Packages.org.verapdf.pdfa.Foundries;
var flavours = Packages.org.verapdf.pdfa.flavours.PDFAFlavour;
var given = arguments;

function judged(file, name) {
  var flavour = flavours.valueOf(name);
  var parser = foundries.defaultInstance().createParser(new java.io.FileInputStream(file), flavour);
  var result = foundries.defaultInstance().createValidator(flavour, false).validate(parser);
  var broken = {};
  for (var found = result.getTestAssertions().iterator(); found.hasNext(); ) {
    var one = found.next();
    var rule = one.getRuleId();
    broken[rule.getClause() + '-' + rule.getTestNumber()] = String(one.getMessage());
  }
  parser.close();
  return {
    flavour: name,
    compliant: result.isCompliant(),
    checks: result.getTotalAssertions(),
    broken: broken,
  };
}

Packages.org.verapdf.gf.foundry.VeraGreenfieldFoundryProvider.initialise();
for (var index = 1; index < given.length; index += 1) {
  String(given[0])
    .split(',')
    .forEach(function (name) {
      print(JSON.stringify(judged(given[index], name)));
    });
}
