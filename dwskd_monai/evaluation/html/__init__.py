"""What the pages share: a report, a check, a comparison and a label are one HTML file each."""
