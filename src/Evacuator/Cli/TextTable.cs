namespace Evacuator.Cli;

/// <summary>A table of plain text: columns as wide as their longest cell, two blanks between.</summary>
internal sealed class TextTable(params string[] headers)
{
    private readonly List<string[]> _rows = [];

    public void Add(params string[] cells) => _rows.Add(cells);

    public void WriteTo(TextWriter output, string indent = "")
    {
        int[] widths = [.. headers.Select((header, column) => Math.Max(header.Length, _rows.Max(row => (int?)row[column].Length) ?? 0))];
        Line(headers);
        foreach (string[] row in _rows)
            Line(row);

        void Line(string[] cells)
        {
            IEnumerable<string> padded = cells.Select((cell, column) => column == cells.Length - 1 ? cell : cell.PadRight(widths[column]));
            output.WriteLine((indent + string.Join("  ", padded)).TrimEnd());
        }
    }
}
