/** Code of other languages that prints a value, one line each, as round-trip-languages.test.ts expects it. */

export const rShow = {
  before: `
units <- function(point) {
  if (point < 65536) return(point)
  c(55296 + (point - 65536) %/% 1024, 56320 + (point - 65536) %% 1024)
}
show <- function(v) {
  if (is.null(v)) return("null")
  if (is.list(v)) {
    parts <- vapply(v, show, "")
    if (is.null(names(v))) return(paste0("[", paste(parts, collapse = ","), "]"))
    pairs <- paste(vapply(names(v), show, ""), parts, sep = ":", recycle0 = TRUE)
    return(paste0("{", paste(sort(pairs, method = "radix"), collapse = ","), "}"))
  }
  if (is.logical(v)) return(tolower(as.character(v)))
  if (is.character(v)) {
    points <- if (nzchar(v)) utf8ToInt(enc2utf8(v)) else integer()
    return(paste0("s", paste(unlist(lapply(points, units)), collapse = ".")))
  }
  if (is.nan(v)) return("fnan")
  paste0("f", paste(as.character(writeBin(v, raw(), endian = "big")), collapse = ""))
}`,
  after: '',
  value: (name: string) => `cat(show(${name}), "\\n", sep = "")`,
};

export const juliaShow = {
  before: `
show_(v::Nothing) = "null"
show_(v::Bool) = string(v)
show_(v::Integer) = "i" * string(v)
show_(v::Float64) = isnan(v) ? "fnan" : "f" * string(reinterpret(UInt64, v), base = 16, pad = 16)
show_(v::String) = "s" * join(Int.(transcode(UInt16, v)), ".")
show_(v::Vector) = "[" * join([show_(x) for x in v], ",") * "]"
show_(v::Dict) = "{" * join(sort([show_(k) * ":" * show_(x) for (k, x) in v]), ",") * "}"`,
  after: '',
  value: (name: string) => `println(show_(${name}))`,
};

export const scalaShow = {
  before: `
object P {
  def show(v: Any): String = v match {
    case None => "null"
    case b: Boolean => b.toString
    case s: String => "s" + s.map(_.toInt.toString).mkString(".")
    case i: Int => "i" + i
    case i: Long => "i" + i
    case i: BigInt => "i" + i
    case d: Double => if (d.isNaN) "fnan" else "f" + "%016x".format(java.lang.Double.doubleToRawLongBits(d))
    case m: Map[_, _] => m.toSeq.map(p => show(p._1) + ":" + show(p._2)).sorted.mkString("{", ",", "}")
    case s: Seq[_] => s.map(show).mkString("[", ",", "]")
  }
  def main(args: Array[String]): Unit = {`,
  after: '  }\n}',
  value: (name: string) => `println(show(${name}))`,
};

export const csharpShow = {
  before: `
using System;
using System.Collections.Generic;
using System.Linq;
static class P {
  static string Show(object v) {
    if (v == null) return "null";
    if (v is bool) return (bool)v ? "true" : "false";
    if (v is string) return "s" + string.Join(".", ((string)v).Select(c => ((int)c).ToString()).ToArray());
    if (v is int || v is long || v is System.Numerics.BigInteger) return "i" + v;
    if (v is double) {
      var d = (double)v;
      return double.IsNaN(d) ? "fnan" : "f" + BitConverter.DoubleToInt64Bits(d).ToString("x16");
    }
    if (v is object[]) return "[" + string.Join(",", ((object[])v).Select(Show).ToArray()) + "]";
    var pairs = ((Dictionary<string, object>)v).Select(p => Show(p.Key) + ":" + Show(p.Value)).ToArray();
    Array.Sort(pairs, string.CompareOrdinal);
    return "{" + string.Join(",", pairs) + "}";
  }
  static void Main() {`,
  after: '  }\n}',
  value: (name: string) => `Console.WriteLine(Show(${name}));`,
};
